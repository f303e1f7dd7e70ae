"""Unified social credit code (统一社会信用代码, GB 32100-2015; policy P2)."""

from __future__ import annotations

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # without I, O, S, V, Z
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))


class MalformedCreditCode(ValueError):
    """Not a credit code: the text says which rule it breaks."""


def check_character(first_seventeen: str) -> str:
    """The 18th character: (31 − Σ value × 3^i mod 31) mod 31.

    Raises:
        MalformedCreditCode: not 17 characters of the alphabet.
    """
    if len(first_seventeen) != 17 or any(c not in _VALUES for c in first_seventeen):
        raise MalformedCreditCode(
            "a credit code has 18 digits and capital letters, without I, O, S, V, Z"
        )
    total = sum(
        weight * _VALUES[character]
        for weight, character in zip(_WEIGHTS, first_seventeen, strict=True)
    )
    return _ALPHABET[(31 - total % 31) % 31]


def parse_credit_code(text: str) -> str:
    """The code in its stored form: no blanks around it, capital letters.

    Raises:
        MalformedCreditCode: another length or other characters, or a wrong check character.
    """
    code = text.strip().upper()
    if len(code) != 18:
        raise MalformedCreditCode("a credit code has 18 characters")
    if check_character(code[:17]) != code[17]:
        raise MalformedCreditCode("the check character of the credit code is wrong")
    return code


def is_valid_credit_code(text: str) -> bool:
    """Whether ``parse_credit_code`` accepts the text."""
    try:
        parse_credit_code(text)
    except MalformedCreditCode:
        return False
    return True
