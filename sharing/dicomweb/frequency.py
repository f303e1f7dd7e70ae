"""How many studies a word or a part of a text leads to, at most: from the database's own statistics.

ANALYZE keeps the most common elements of the indexed arrays with their frequencies (migration 0007 asks for many). The
planner multiplies them, as if parts of one text were independent; here the rarest one is the bound.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from common.kept import Kept

_KEEP_S = 900.0
# Columns of study_by_text in their order; name_grams is the table's own.
_TEXTS = (
    "patient_name",
    "patient_id",
    "accession_number",
    "study_description",
    "referring_physician_name",
    "modalities",
)
_STATISTICS = """
SELECT s.tablename, a.attname, a.attnum, s.most_common_elems::text::text[], s.most_common_elem_freqs
FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename AND c.relnamespace = current_schema()::regnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
WHERE s.schemaname = current_schema() AND s.most_common_elems IS NOT NULL
    AND (s.tablename = 'study_by_text' OR s.tablename = 'sharing_study' AND s.attname IN ('name_grams', 'modalities'))
"""
Shares = dict[str, dict[str, float]]
_kept: Kept[str, Shares] = Kept(entries=1, keep_s=_KEEP_S)
# Without statistics nothing is known to be rare, and nothing to be common.
_UNKNOWN = 0.01


def share_of(column: str, parts: Iterable[str]) -> float:
    """The share of the studies that have all these parts, at most; of parts that are not common it is small."""
    known = _shares().get(column)
    if not known:
        return _UNKNOWN
    rarest = min(known.values())
    return min((known.get(part, rarest) for part in parts), default=1.0)


def study_count() -> float:
    """How many studies the index has, as ANALYZE found it."""
    return _shares().get("", {}).get("", 0)


def forget() -> None:
    """Read the statistics anew, in this process."""
    _kept.clear()


def _shares() -> Shares:
    found = _kept.get("all")
    if found is None:
        found = _read()
        _kept.put("all", found)
    return found


def _read() -> Shares:
    found: Shares = {}
    with connection.cursor() as cursor:
        cursor.execute(_STATISTICS)
        for table, name, position, parts, shares in cursor.fetchall():
            column = _TEXTS[position - 1] if table == "study_by_text" else name
            # The last entries of the frequencies are about all elements, not about one.
            found[column] = dict(zip(parts, shares, strict=False))
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'sharing_study'::regclass")
        found[""] = {"": cursor.fetchone()[0]}
    return found
