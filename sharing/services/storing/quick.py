"""The common case in one statement: instances of one series that holds some already.

A slice that is stored by itself costs a file and this. Whatever is unusual here (a new series, a new revision since
it was looked at) writes nothing, and ``rows`` does it at length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from common.archive.documents import entry_to_json
from common.kept import Kept
from sharing.services.storing.outcome import Item, Place

# Locks the series as ``rows`` does. The counts are those of the newest row, also after having waited for it.
_STORE = """
    WITH place AS MATERIALIZED (
        SELECT s.id, s.study_id FROM sharing_series s JOIN sharing_study t ON t.id = s.study_id
        WHERE t.institution_id = %(institution)s AND t.study_instance_uid = %(study)s
            AND s.series_instance_uid = %(series)s AND s.current_id IS NOT DISTINCT FROM %(seen)s
            AND (s.current_id IS NOT NULL OR s.newest_received > 0)
        FOR NO KEY UPDATE OF s
    ), pack AS (
        INSERT INTO sharing_incomingpack (institution_id, object_key, size_bytes, stored_at)
        SELECT %(institution)s, %(key)s, %(size)s, now() FROM place
        RETURNING id
    ), added AS (
        INSERT INTO sharing_receivedinstance
            (series_id, pack_id, sop_instance_uid, sha256, size_bytes, entry, header, stored_at)
        SELECT place.id, pack.id, one.*, now()
        FROM place, pack, unnest(%(uids)s::text[], %(digests)s::text[], %(sizes)s::bigint[],
            %(entries)s::jsonb[], %(headers)s::bytea[]) AS one
        ON CONFLICT (series_id, sop_instance_uid) DO NOTHING
        RETURNING id, sop_instance_uid, size_bytes
    ), total AS (
        SELECT count(*) AS count, sum(size_bytes) AS size, max(id) AS newest FROM added
    ), series AS (
        UPDATE sharing_series s
        SET instance_count = s.instance_count + total.count, size_bytes = s.size_bytes + total.size,
            newest_received = total.newest, state = 'stored'
        FROM total, place WHERE s.id = place.id AND total.count > 0
    ), study AS (
        UPDATE sharing_study t
        SET instance_count = t.instance_count + total.count, size_bytes = t.size_bytes + total.size,
            state = CASE WHEN t.state IN ('indexed', 'archived') THEN 'pulling' ELSE t.state END
        FROM total, place WHERE t.id = place.study_id AND total.count > 0
    )
    SELECT added.sop_instance_uid FROM pack LEFT JOIN added ON true
"""


@dataclass(frozen=True)
class Seen:
    """A series as it was looked at last: its current revision."""

    current_id: int | None
    prefix: str


_seen: Kept[tuple[int, Place], Seen] = Kept(entries=2_000, keep_s=60)


def seen(institution_id: int, place: Place) -> Seen | None:
    """What this process remembers of a series that it stored into; may be stale, which ``write`` notices."""
    return _seen.get((institution_id, place))


def remember(institution_id: int, place: Place, found: Seen) -> None:
    """Keep what was looked at, for the next instance of the series."""
    _seen.put((institution_id, place), found)


def forget(institution_id: int, place: Place) -> None:
    """It was stale."""
    _seen.drop((institution_id, place))


def write(
    *, institution_id: int, key: str, size_bytes: int, items: list[Item], seen: Seen
) -> set[str] | None:
    """Write the rows of items of one series; those that were new, or None when it has to be done at length."""
    study_uid, series_uid = items[0].place
    values: dict[str, Any] = {
        "institution": institution_id,
        "study": study_uid,
        "series": series_uid,
        "seen": seen.current_id,
        "key": key,
        "size": size_bytes,
        "uids": [item.entry.sop_instance_uid for item in items],
        "digests": [item.entry.sha256 for item in items],
        "sizes": [item.entry.size for item in items],
        "entries": [orjson.dumps(entry_to_json(item.entry)).decode() for item in items],
        "headers": [item.header for item in items],
    }
    with connection.cursor() as cursor:
        cursor.execute(_STORE, values)
        found = cursor.fetchall()
    return {row[0] for row in found if row[0] is not None} if found else None
