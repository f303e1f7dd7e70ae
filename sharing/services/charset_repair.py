"""Texts of an institution that were decoded with the wrong character set are decoded anew (PS3.3 C.12.1.1.2).

Devices declare Latin-1, ASCII or nothing and send GBK. The stored bytes are never changed: of a series only the two
documents are written again, as a further revision that refers to the same pack, and the index rows follow. Of a study
known from the hospital's list alone, the columns are turned round. Each study is an item whose row says how far it got:
a crash leaves a study as it was or repaired, and the run goes on. Undoing decodes again as it was decoded before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import orjson
import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils import timezone

from common import audit
from common.archive import documents, keys
from common.archive.documents import SeriesIndex
from common.dicom.charset import FORCED, chinese_instead
from common.dicom.names import name_grams
from common.dicom.part10 import read_instance
from common.errors import DomainError, NotPermitted
from common.storage import object_store
from sharing.domain.completeness import Listing
from sharing.domain.facts import study_facts
from sharing.errors import CharacterSetUnusable, RepairRunning, StudyBeingStored
from sharing.models import CharsetRepair, CharsetRepairItem, Series, SeriesRevision, Study
from sharing.selectors import links
from sharing.selectors.gathering import open_pack
from sharing.services import assigning, proving, revisions
from sharing.services.receiving import json_bytes
from sharing.services.revisions import JSON_TYPE, Sealed

if TYPE_CHECKING:
    from common.accounts.models import User
    from common.storage.cache import LocalObject

log = structlog.get_logger(__name__)

CHARACTER_SETS = ("GB18030", "GBK")
SAMPLES = 20
MOST_COUNTED = 20_000
MOST_TRIES = 5
BATCH = 20
# What a wrong decoding leaves behind: Latin-1 letters and controls, and the sign for what could not be read.
GARBLED = "[\u0080-\u00ff\ufffd]"
_TEXTS = ("patient_name", "study_description", "referring_physician_name")
State = CharsetRepair.State
ItemState = CharsetRepairItem.State


@dataclass(frozen=True)
class Sample:
    """One study's texts before and after."""

    study_instance_uid: str
    study_date: Any
    before: dict[str, str]
    after: dict[str, str]


@dataclass(frozen=True)
class Preview:
    """What a repair would do; nothing was changed. Counts stop at ``MOST_COUNTED`` studies that look garbled."""

    character_set: str
    looked_at: int
    studies: int
    series: int
    instances: int
    samples: tuple[Sample, ...]

    @property
    def is_floor(self) -> bool:
        return self.looked_at >= MOST_COUNTED


@dataclass(frozen=True)
class Progress:
    """How far a run has got."""

    repair: CharsetRepair
    total: int
    waiting: int
    done: int
    unchanged: int
    failed: int
    undone: int

    @property
    def percent(self) -> int:
        return 100 if not self.total else round(100 * (self.total - self.waiting) / self.total)


class _Moved(Exception):
    """The series got another revision, or has instances that are not packed yet: later."""


def preview(*, actor: User, institution_id: int, character_set: str) -> Preview:
    """How many studies would change, and how some of them would read.

    Raises:
        NotPermitted: ``actor`` does not administer the institution.
        CharacterSetUnusable: it is none that is repaired with.
    """
    codec = _usable(actor, institution_id, character_set)
    rows = list(
        _candidates(institution_id).values_list(
            "pk", "study_instance_uid", "study_date", "instance_count", *_TEXTS
        )[:MOST_COUNTED]
    )
    changing: list[int] = []
    samples: list[Sample] = []
    for pk, uid, day, held, *texts in rows:
        before = dict(zip(_TEXTS, texts, strict=True))
        after = {name: turned(text, codec) for name, text in before.items()}
        if held and any("\ufffd" in text for text in texts):
            after = _from_bytes(pk, codec) or after
        if after == before:
            continue
        changing.append(pk)
        if len(samples) < SAMPLES:
            samples.append(Sample(uid, day, before, after))
    counted = Series.objects.filter(study__in=changing).aggregate(
        series=Count("pk"), instances=Sum("instance_count")
    )
    audit.record(
        actor,
        "charset.preview",
        object_type="hospitals.institution",
        institution_id=institution_id,
        purpose="charset-repair",
        detail={"character_set": codec, "studies": len(changing)},
    )
    return Preview(
        character_set=codec,
        looked_at=len(rows),
        studies=len(changing),
        series=counted["series"],
        instances=counted["instances"] or 0,
        samples=tuple(samples),
    )


@transaction.atomic
def start(*, actor: User, institution_id: int, character_set: str) -> CharsetRepair:
    """Begin a repair; the scheduler does the work.

    Raises:
        NotPermitted, CharacterSetUnusable: as for a preview.
        RepairRunning: one of this institution is not finished.
    """
    codec = _usable(actor, institution_id, character_set)
    try:
        with transaction.atomic():
            repair = CharsetRepair.objects.create(
                institution_id=institution_id, character_set=codec, started_by=actor
            )
    except IntegrityError as error:
        raise RepairRunning from error
    studies = _candidates(institution_id).values_list("pk", flat=True)
    CharsetRepairItem.objects.bulk_create(
        (CharsetRepairItem(repair=repair, study_id=pk) for pk in studies.iterator(chunk_size=2000)),
        batch_size=2000,
    )
    _record(actor, "charset.repair", repair)
    return repair


@transaction.atomic
def undo(*, actor: User, repair: CharsetRepair) -> None:
    """Decode again as it was decoded before; the scheduler does the work.

    Raises:
        NotPermitted: ``actor`` does not administer the institution.
        RepairRunning: a repair of this institution is not finished, or this one is not done.
    """
    _require(actor, repair.institution_id)
    row = CharsetRepair.objects.select_for_update(no_key=True).get(pk=repair.pk)
    if row.state != State.DONE:
        raise RepairRunning
    try:
        with transaction.atomic():
            row.state, row.finished_at = State.UNDOING, None
            row.save(update_fields=["state", "finished_at"])
    except IntegrityError as error:
        raise RepairRunning from error
    row.items.filter(state=ItemState.DONE).update(tries=0)
    _record(actor, "charset.undo", row)


def repairs(*, actor: User, institution_id: int) -> list[Progress]:
    """The repairs of an institution with how far they got, newest first.

    Raises:
        NotPermitted: ``actor`` does not administer the institution.
    """
    _require(actor, institution_id)
    return [
        progress(each) for each in CharsetRepair.objects.filter(institution=institution_id)[:20]
    ]


def get_repair(*, actor: User, repair_id: int) -> CharsetRepair:
    """One repair.

    Raises:
        NotPermitted: there is none of an institution that ``actor`` administers.
    """
    found = CharsetRepair.objects.filter(pk=repair_id).first()
    _require(actor, found.institution_id if found else 0)
    return cast("CharsetRepair", found)


def progress(repair: CharsetRepair) -> Progress:
    """How far it got; while it is undone, ``waiting`` is what is still as repaired."""
    rows = repair.items.order_by().values_list("state").annotate(n=Count("pk"))
    counts: dict[str, int] = dict(rows)
    waiting = ItemState.DONE if repair.state == State.UNDOING else ItemState.WAITING
    return Progress(
        repair=repair,
        total=sum(counts.values()),
        waiting=counts.get(waiting, 0),
        done=counts.get(ItemState.DONE, 0),
        unchanged=counts.get(ItemState.UNCHANGED, 0),
        failed=counts.get(ItemState.FAILED, 0),
        undone=counts.get(ItemState.UNDONE, 0),
    )


def run(*, within: Callable[[], bool] = lambda: True) -> int:
    """Go on with every open repair; how many studies were done."""
    done = 0
    for repair in CharsetRepair.objects.filter(state__in=CharsetRepair.OPEN).order_by("pk"):
        for item in _due(repair, within):
            _settle(repair, item)
            done += 1
        _finish(repair)
    return done


def turned(text: str, codec: str) -> str:
    """A text that was read as Latin-1, read as it is meant; unchanged where it does not become Chinese."""
    parts = []
    for part in text.split("="):
        try:
            raw = part.encode("latin-1")
        except UnicodeEncodeError:
            parts.append(part)
            continue
        parts.append(part if raw.isascii() else chinese_instead(raw, codec) or part)
    return "=".join(parts)


def _usable(actor: User, institution_id: int, character_set: str) -> str:
    _require(actor, institution_id)
    if character_set not in CHARACTER_SETS:
        raise CharacterSetUnusable
    return character_set


def _require(actor: User, institution_id: int) -> None:
    # The commission keeps master data too, but a preview shows names of patients.
    if institution_id not in links.keeper(actor).institution_ids:
        raise NotPermitted("Character sets are repaired by the institution's administrator.")


def _candidates(institution_id: int) -> Any:
    garbled = Q()
    for name in _TEXTS:
        garbled |= Q(**{f"{name}__regex": GARBLED})
    series = Series.objects.filter(study=OuterRef("pk"), series_description__regex=GARBLED)
    return Study.objects.filter(garbled | Exists(series), institution=institution_id).order_by("pk")


def _due(repair: CharsetRepair, within: Callable[[], bool]) -> Iterator[CharsetRepairItem]:
    state = ItemState.DONE if repair.state == State.UNDOING else ItemState.WAITING
    last = 0
    while within():
        items = list(
            repair.items.filter(state=state, pk__gt=last)
            .select_related("study__institution")
            .order_by("pk")[:BATCH]
        )
        if not items:
            return
        for item in items:
            last = item.pk
            yield item
            if not within():
                return


def _settle(repair: CharsetRepair, item: CharsetRepairItem) -> None:
    undoing = repair.state == State.UNDOING
    try:
        changed = _undo_study(item) if undoing else _repair_study(item, repair.character_set)
    except _Moved:
        _put_off(item, StudyBeingStored.code)
    except DomainError as error:
        log.warning("charset.failed", study_id=item.study_id, code=error.code)
        _put_off(item, error.code)
    else:
        item.state = ItemState.DONE if changed else ItemState.UNCHANGED
        if undoing:
            item.state = ItemState.UNDONE
        item.error_code = ""
        item.save(update_fields=["state", "error_code"])


def _put_off(item: CharsetRepairItem, code: str) -> None:
    item.tries += 1
    item.error_code = code[:64]
    if item.tries >= MOST_TRIES:
        item.state = ItemState.FAILED
    item.save(update_fields=["tries", "state", "error_code"])


def _finish(repair: CharsetRepair) -> None:
    undoing = repair.state == State.UNDOING
    left = repair.items.filter(state=ItemState.DONE if undoing else ItemState.WAITING)
    if left.exists():
        return
    repair.state = State.UNDONE if undoing else State.DONE
    repair.finished_at = timezone.now()
    repair.save(update_fields=["state", "finished_at"])


def _repair_study(item: CharsetRepairItem, codec: str) -> bool:
    held = _held(item.study_id)
    if not held:
        return _turn_columns(item, codec)
    changed = [_redecode(item, series, f"{codec}{FORCED}") for series in held]
    if any(changed):
        proving.certify(study_id=item.study_id)
    return any(changed) or bool(item.former)


def _undo_study(item: CharsetRepairItem) -> bool:
    if "before" in item.former:
        return _turn_back(item)
    former = dict(item.former)
    for series in _held(item.study_id):
        if str(series.pk) in former:
            _redecode(item, series, former[str(series.pk)])
    proving.certify(study_id=item.study_id)
    return True


def _held(study_id: int) -> list[Series]:
    rows = Series.objects.filter(study=study_id).select_related("current", "study__institution")
    held = [each for each in rows.order_by("series_instance_uid") if each.is_held]
    if any(each.newest_received for each in held):
        raise _Moved  # gathered within minutes; then there is one document to be written
    return held


def _redecode(item: CharsetRepairItem, series: Series, character_set: str) -> bool:
    """A further revision of the same pack with the documents decoded so; False where they would be the same."""
    current = series.current
    if current is None:
        return False
    store = object_store()
    index = revisions.stored_index(current)
    former = documents.metadata_lines(store.get_bytes(keys.metadata_key(current.prefix)))
    with open_pack(index.pack_key) as pack:
        lines = [
            _decoded(pack, index, position, character_set)
            for position in range(len(index.instances))
        ]
    if lines == former:
        return False
    number = current.number + 1
    prefix = keys.revision_prefix(
        institution_code=index.institution_code,
        study_instance_uid=index.study_instance_uid,
        series_instance_uid=index.series_instance_uid,
        number=number,
        pack_digest=index.pack_digest,
    )
    made = replace(
        index, number=number, character_set=character_set, stored_at=timezone.now().isoformat()
    )
    store.put_bytes(
        keys.metadata_key(prefix), documents.metadata_bytes(lines), content_type=JSON_TYPE
    )
    store.put_bytes(keys.index_key(prefix), made.to_bytes(), content_type=JSON_TYPE)
    sealed = Sealed(made, prefix, current.size_bytes, orjson.loads(lines[0]))
    _make_current(item, series, sealed, former_set=index.character_set)
    return True


def _decoded(pack: LocalObject, index: SeriesIndex, position: int, character_set: str) -> bytes:
    entry = index.instances[position]
    file = cast("BinaryIO", _PackFile(pack, index.pack_size))
    instance = read_instance(
        file, offset=entry.offset, length=entry.size, character_set=character_set
    )
    return json_bytes(instance.attributes)


@transaction.atomic
def _make_current(
    item: CharsetRepairItem, series: Series, sealed: Sealed, *, former_set: str
) -> None:
    """All rows at once; what was proved of the bytes stays proved."""
    locked = Series.objects.select_for_update(no_key=True).get(pk=series.pk)
    if locked.current_id != series.current_id or locked.newest_received or series.current is None:
        raise _Moved
    study = Study.objects.select_for_update(no_key=True).get(pk=series.study_id)
    listing = Listing(count=locked.listed_instances)
    kept = {name: getattr(locked, name) for name in ("state", "listed_instances", "compared_by")}
    revision = revisions.write_rows(series=locked, sealed=sealed, listing=listing)
    SeriesRevision.objects.filter(pk=revision.pk).update(verified_at=series.current.verified_at)
    Series.objects.filter(pk=series.pk).update(**kept)
    Study.objects.filter(pk=study.pk).update(state=study.state)
    if str(series.pk) not in item.former:
        item.former[str(series.pk)] = former_set
        item.save(update_fields=["former"])


@transaction.atomic
def _turn_columns(item: CharsetRepairItem, codec: str) -> bool:
    study = Study.objects.select_for_update(no_key=True).get(pk=item.study_id)
    before = {name: getattr(study, name) for name in _TEXTS}
    after = {name: turned(text, codec) for name, text in before.items()}
    if after == before:
        return False
    item.former = {"before": before, "after": after}
    item.save(update_fields=["former"])
    _write_columns(study, after)
    return True


@transaction.atomic
def _turn_back(item: CharsetRepairItem) -> bool:
    study = Study.objects.select_for_update(no_key=True).get(pk=item.study_id)
    after, before = item.former["after"], item.former["before"]
    if any(getattr(study, name) != after[name] for name in _TEXTS):
        return False  # the hospital has said something else since
    _write_columns(study, before)
    return True


def _write_columns(study: Study, texts: dict[str, str]) -> None:
    said = assigning.said_by(study)
    for name, text in texts.items():
        setattr(study, name, text)
    study.name_grams = name_grams(study.patient_name)
    assigning.assign_patient(study, before=said)
    study.save(update_fields=[*_TEXTS, "name_grams", "local_patient", "person"])


def _from_bytes(study_id: int, codec: str) -> dict[str, str]:
    """The texts of a held study as its first instance has them; empty where it cannot be read."""
    series = (
        Series.objects.filter(study=study_id, current__isnull=False)
        .select_related("current")
        .order_by("series_instance_uid")
        .first()
    )
    if series is None or series.current is None:
        return {}
    index = revisions.stored_index(series.current)
    with open_pack(index.pack_key) as pack:
        found = study_facts(orjson.loads(_decoded(pack, index, 0, f"{codec}{FORCED}")))
    return {name: getattr(found, name) for name in _TEXTS}


def _record(actor: User, action: str, repair: CharsetRepair) -> None:
    audit.record(
        actor,
        action,
        repair,
        purpose="charset-repair",
        detail={"character_set": repair.character_set, "studies": repair.items.count()},
    )


class _PackFile:
    """A pack as an open file, read by ranges: headers only, whatever the size of the pack."""

    def __init__(self, pack: LocalObject, size: int) -> None:
        self._pack, self._size, self._at = pack, size, 0

    def seek(self, position: int, whence: int = 0, /) -> int:
        self._at = position
        return position

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, self._size - self._at) if size >= 0 else self._size - self._at
        data = self._pack.read(self._at, size) if size > 0 else b""
        self._at += len(data)
        return data
