"""Daily anchors in the object store: who has only the database cannot rewrite the chain.

One small object for each day, written once and never again. Nothing else lies under this prefix, and nothing that
sweeps or rebuilds looks there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from common.audit import chain
from common.audit.models import DailyAnchor
from common.storage import ObjectMissing, ObjectStore

PREFIX = "audit/anchors/"
_SUFFIX = ".json"


class AnchorUnreadable(ValueError):
    """An object among the anchors is none."""


@dataclass(frozen=True)
class StoredAnchor:
    """The chain's head at the end of a day, as the object store keeps it."""

    day: date
    sequence: int
    hash: bytes


def anchor_key(day: date) -> str:
    """The object of one day."""
    return f"{PREFIX}{day.isoformat()}{_SUFFIX}"


def store_missing(store: ObjectStore) -> int:
    """Write the anchors that the store does not have; returns how many. What is there is never written again."""
    newest = DailyAnchor.objects.order_by("-day").first()
    if newest is None or _is_there(store, anchor_key(newest.day)):
        return 0
    known = {stat.key for stat in store.list(PREFIX)}
    missing = [each for each in DailyAnchor.objects.all() if anchor_key(each.day) not in known]
    # The newest at last: once it is there, the others are.
    for anchor in missing:
        store.put_bytes(anchor_key(anchor.day), _body(anchor), content_type="application/json")
    return len(missing)


def stored_anchors(store: ObjectStore) -> list[StoredAnchor]:
    """What the store keeps, by day.

    Raises:
        AnchorUnreadable: an object is no anchor, or not that of its day.
    """
    return [_read(stat.key, store.get_bytes(stat.key)) for stat in store.list(PREFIX)]


def _is_there(store: ObjectStore, key: str) -> bool:
    try:
        store.head(key)
    except ObjectMissing:
        return False
    return True


def _body(anchor: DailyAnchor) -> bytes:
    document = {
        "day": anchor.day.isoformat(),
        "sequence": anchor.sequence,
        "hash": bytes(anchor.hash).hex(),
        "anchored_at": chain.instant(anchor.anchored_at),
    }
    return json.dumps(document, sort_keys=True).encode()


def _read(key: str, body: bytes) -> StoredAnchor:
    try:
        document = json.loads(body)
        found = StoredAnchor(
            date.fromisoformat(document["day"]),
            int(document["sequence"]),
            bytes.fromhex(document["hash"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise AnchorUnreadable(key) from error
    if anchor_key(found.day) != key:
        raise AnchorUnreadable(key)
    return found
