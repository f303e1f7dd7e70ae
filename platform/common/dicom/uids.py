"""Unique identifiers (PS3.5 section 9.1)."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
MAX_LENGTH = 64


def is_valid_uid(text: str) -> bool:
    """Whether this is a UID: digits and dots, at most 64 characters, no empty component.

    Components with leading zeros are accepted although PS3.5 section 9.1 forbids them: hospitals
    have sent them for years, and refusing would lose the instance.
    """
    return len(text) <= MAX_LENGTH and _UID.fullmatch(text) is not None
