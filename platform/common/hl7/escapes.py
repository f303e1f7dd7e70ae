"""Escape sequences of text (HL7 v2.9 chapter 2, section 2.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.hl7.errors import MessageError


@dataclass(frozen=True)
class Delimiters:
    """Which characters part a message, as its own MSH-1 and MSH-2 say."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def encoding_characters(self) -> str:
        """As they stand in MSH-2."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}"


DEFAULT = Delimiters()
_HEX = re.compile(r"X([0-9A-Fa-f]*)\Z")
_LINES = re.compile(r"\.sp\s*\+?\s*(\d*)\Z")
# Starts and ends of highlighting, indents and fills: how text looks, nothing that it says.
_LOOKS = re.compile(r"(H|N|\.(in|ti|fi|nf|sk|ce).*)\Z")
_MOST_BLANK_LINES = 20


def unescaped(text: str, delimiters: Delimiters, *, codec: str) -> str:
    """The text that was meant. ``\\Xdd..\\`` are bytes in the message's character set.

    What is unknown (local ``\\Z..\\``, a lone escape character) stays as it was written: nothing is lost silently.
    """
    mark = delimiters.escape
    if not mark or mark not in text:
        return text
    parts = text.split(mark)
    out: list[str] = [parts[0]]
    index = 1
    while index < len(parts):
        if index == len(parts) - 1:  # no closing one: it was a character of the text
            out.append(mark + parts[index])
            break
        meant = _meaning(parts[index], delimiters, codec)
        if meant is None:
            out.append(mark + parts[index])  # and its second character may open a sequence
            index += 1
            continue
        out.append(meant + parts[index + 1])
        index += 2
    return "".join(out)


def _meaning(sequence: str, delimiters: Delimiters, codec: str) -> str | None:
    plain = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        ".br": "\n",
    }
    if sequence in plain:
        return plain[sequence]
    if found := _LINES.match(sequence):
        return "\n" * min(int(found[1] or 1), _MOST_BLANK_LINES)
    if _LOOKS.match(sequence):
        return ""
    if found := _HEX.match(sequence):
        return _of_bytes(found[1], codec)
    return None


def _of_bytes(digits: str, codec: str) -> str | None:
    if len(digits) % 2:
        return None
    try:
        # A line end in bytes is one; no control character gets into a text by this door.
        text = bytes.fromhex(digits).decode(codec)
    except UnicodeDecodeError as error:
        raise MessageError("An \\X..\\ sequence is not in the message's character set.") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter for letter in text if letter >= " " or letter in "\n\t")


def escaped(text: str, delimiters: Delimiters = DEFAULT) -> str:
    """The text as it may stand in a field of ours."""
    if not text:
        return text
    replaced = {
        delimiters.escape: "E",
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.repetition: "R",
        delimiters.subcomponent: "T",
    }
    mark = delimiters.escape
    out = (f"{mark}{replaced[c]}{mark}" if c in replaced else c for c in text)
    return "".join(out).replace("\r\n", "\n").replace("\r", "\n").replace("\n", f"{mark}.br{mark}")
