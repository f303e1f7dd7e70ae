"""Quantities as people write them."""

from __future__ import annotations

import re

_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmg]?i?)(b|bit)?(?:/s|ps)?\s*", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_rate(text: str) -> int:
    """``20MB/s``, ``8 MiB/s``, ``100Mbit/s`` or a plain number as bytes per second.

    Raises:
        ValueError: another form, or nothing is left.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("expected a rate such as 20MB/s")
    number, prefix, unit = match.groups()
    rate = float(number) * _FACTORS[prefix.lower()]
    if (unit or "").lower() == "bit":
        rate /= 8
    if rate < 1:
        raise ValueError("a rate is at least one byte per second")
    return int(rate)


def format_rate(bytes_per_s: int) -> str:
    """A rate for people: ``20 MB/s``."""
    for name, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if bytes_per_s >= factor:
            return f"{bytes_per_s / factor:.3g} {name}/s"
    return f"{bytes_per_s} B/s"
