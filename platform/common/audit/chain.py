"""The hash chain, as plain Python: what is hashed, and how (``tools/verify_audit_export.py`` says the same)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

GENESIS = bytes(32)

FIELDS = (
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "actor_institution_code",
    "actor_institution_name",
    "action",
    "object_type",
    "object_id",
    "institution_id",
    "study_instance_uid",
    "basis",
    "purpose",
    "result",
    "address",
    "request_id",
    "count",
    "detail",
)
# Fields that came later: part of the content only where they say something, so that older entries still verify.
LATER_FIELDS = ("person_key",)
COLUMNS = (*FIELDS, *LATER_FIELDS)


def instant(moment: datetime) -> str:
    """UTC with microseconds: ``2026-01-02T03:04:05.000006Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def content(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an entry, a row of ``COLUMNS``, in the form that is hashed and exported."""
    fields = {
        name: instant(row[name]) if isinstance(row[name], datetime) else row[name]
        for name in FIELDS
    }
    return fields | {name: row[name] for name in LATER_FIELDS if row[name]}


def link_hash(*, prev_hash: bytes, sequence: int, fields: Mapping[str, Any]) -> bytes:
    """SHA-256 over the previous hash and the canonical JSON of the entry with its sequence.

    Canonical: keys sorted, no blanks, UTF-8 unescaped.
    """
    document = json.dumps(
        {"sequence": sequence, **fields}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(prev_hash + document.encode()).digest()
