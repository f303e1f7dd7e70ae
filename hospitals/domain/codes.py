"""The form of codes."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REGION = re.compile(r"[0-9]{6}")


def is_plain_code(text: str) -> bool:
    """Whether a text can be an institution's or a consortium's code."""
    return _PLAIN.fullmatch(text) is not None


def is_region_code(text: str) -> bool:
    """Whether a text has the form of an administrative code (GB/T 2260)."""
    return _REGION.fullmatch(text) is not None
