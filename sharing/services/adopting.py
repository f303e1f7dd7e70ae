"""Incoming packs that no row knows, after a crash or a lost index: what they hold is read from them again."""

from __future__ import annotations

from datetime import datetime

from common.archive.pack import PackEntry, PackWriter
from common.dicom.errors import MalformedDicom
from common.dicom.part10 import read_instance
from common.storage import object_store
from hospitals import selectors as hospital_selectors
from sharing.errors import StudyIsDeleted
from sharing.models import Deletion, IncomingPack
from sharing.services import deleting
from sharing.services.spool import spool_folder
from sharing.services.storing import held, rows
from sharing.services.storing.outcome import Item, Place, item_of
from sharing.services.storing.rows import Packed, SeriesHasMoved

_LOOKS = 5


def is_known(key: str) -> bool:
    """Whether a row says what this incoming pack is for."""
    return IncomingPack.objects.filter(object_key=key).exists()


def adopt(key: str, *, actor: str = "rebuild", written_at: datetime | None = None) -> int:
    """Write the rows of an incoming pack; returns how many instances were not held yet.

    A pack of which everything is held is of no more use, and removed. What was never answered is taken too:
    the sender meant to store it, and what is held twice is found by its digest. A study that takes no stores now
    is left out. With ``written_at``, the time of a pack that was never answered, also one that was deleted and
    purged since: only a store after the purge may bring it back, none from before.
    """
    institution_id = hospital_selectors.get_institution(code=key.split("/")[1]).pk
    items, size = _items(key, hospital_selectors.institution_facts(institution_id).character_set)
    for _ in range(_LOOKS):
        deleted = _left_out(institution_id, items, written_at)
        kept = [item for item in items if item.study_instance_uid not in deleted]
        fresh, seen = _not_held(institution_id, kept)
        if not fresh:
            if all(deletion.kept_at and deletion.purged_at for deletion in deleted.values()):
                object_store().delete(key)
            return 0  # else it stays until the deletion is undone or purged
        packed = Packed(institution_id, key, size)
        try:
            return len(rows.write(packed=packed, items=fresh, seen=seen, actor=actor))
        except (SeriesHasMoved, StudyIsDeleted):
            continue
    return 0


def _left_out(
    institution_id: int, items: list[Item], written_at: datetime | None
) -> dict[str, Deletion]:
    found = deleting.in_force_among(
        institution_id=institution_id,
        study_instance_uids=[item.study_instance_uid for item in items],
    )
    return {
        uid: deletion
        for uid, deletion in found.items()
        if deleting.refuses_stores(deletion)
        or (written_at and deletion.purged_at and written_at < deletion.purged_at)
    }


def _items(key: str, character_set: str) -> tuple[list[Item], int]:
    with spool_folder("adopt") as folder:
        path = folder / "incoming.zip"
        with object_store().stream(key) as chunks, path.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        size = path.stat().st_size
        with PackWriter.resume(path) as writer:
            found = [_item(writer, entry, character_set) for entry in writer.entries]
    return [item for item in found if item is not None], size


def _item(writer: PackWriter, packed: PackEntry, character_set: str) -> Item | None:
    try:
        instance = read_instance(
            writer.file, offset=packed.offset, length=packed.size, character_set=character_set
        )
    except MalformedDicom:
        return None
    return item_of(instance, packed, describes=True)


def _not_held(institution_id: int, items: list[Item]) -> tuple[list[Item], dict[Place, int | None]]:
    fresh: list[Item] = []
    seen: dict[Place, int | None] = {}
    for item in items:
        found = held.series_of(
            institution_id=institution_id,
            study_uid=item.study_instance_uid,
            series_uids=[item.series_instance_uid],
        )
        seen[item.place] = found[0].current_id if found else None
        uid = item.entry.sop_instance_uid
        if not found or uid not in held.held_digests(found[0], [uid]):
            fresh.append(item)
    return fresh, seen
