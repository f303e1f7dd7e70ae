"""One store request: its instances go into one pack on local disk, then as one object into the store,
then into the index. What came whole is kept, whatever happens to the rest (ADR 0015).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from itertools import groupby
from typing import Any, BinaryIO
from uuid import uuid4

from common.archive import keys
from common.archive.documents import InstanceEntry
from common.archive.pack import PackWriter
from common.audit.services import Actor
from common.dicom.compose import FindBulk, compose
from common.dicom.errors import MalformedDicom
from common.dicom.part10 import Instance, read_instance
from common.dicom.uids import is_valid_uid
from common.errors import DomainError
from common.storage import object_store
from sharing.domain import facts
from sharing.errors import StoreBusy, StudyIsDeleted
from sharing.models import Quarantined
from sharing.permissions import StoreTarget
from sharing.services import deleting, quarantine
from sharing.services.quarantine import Asked, Region
from sharing.services.spool import spool_file
from sharing.services.storing import held, quick, rows
from sharing.services.storing.outcome import Failure, Item, Outcome, Place, item_of
from sharing.services.storing.rows import Packed, SeriesHasMoved

# Compressed headers are held until the request ends: a few KiB for each instance, where nobody means harm.
MOST_HEADER_BYTES = 256 * 2**20
_LOOKS = 5  # so often a series may get a new revision while a request is written
_UID_TAGS = ("00080016", "00080018", facts.STUDY_INSTANCE_UID, facts.SERIES_INSTANCE_UID)
_REFUSALS = {
    Failure.WRONG_STUDY: Quarantined.Reason.WRONG_STUDY,
    Failure.DUPLICATE: Quarantined.Reason.CONFLICT,
}

MayStore = Callable[[Instance], str]  # why not; empty when it may


class StoreRequest:
    """Collects the instances of one request.

    ``take`` each one, then ``finish`` once. Memory is bounded by a chunk, a header, and some KiB for each
    instance.
    """

    def __init__(
        self,
        *,
        actor: Actor,
        target: StoreTarget,
        writer: PackWriter,
        study_instance_uid: str = "",
        may_store: MayStore | None = None,
    ) -> None:
        self.actor = actor
        self.target = target
        self.study_instance_uid = study_instance_uid
        self.outcomes: list[Outcome] = []
        self._may_store = may_store
        self._writer = writer
        self._items: dict[tuple[str, str, str], Item] = {}
        self._described: set[tuple[str, str]] = set()
        self._header_bytes = 0
        self._sealed: BinaryIO | None = None
        self._packed: Packed | None = None

    def take(self, chunks: Iterable[bytes]) -> None:
        """Write one instance into the pack, or say why not.

        Raises:
            DomainError: what ``chunks`` raise when the sender breaks off; this instance is not kept.
        """
        self._writer.begin()
        try:
            for chunk in chunks:
                self._writer.write(chunk)
        except DomainError as error:
            self._writer.discard()
            self.refuse(Failure.PROCESSING, f"It did not come whole: {error.message}")
            raise
        except BaseException:
            self._writer.discard()
            raise
        self._settle()

    def compose(self, attributes: Mapping[str, Any], *, find_bulk: FindBulk) -> None:
        """Make a DICOM file of metadata and bulk values, and take that, or say why not."""
        self._writer.begin()
        try:
            for chunk in compose(attributes, find_bulk=find_bulk):
                self._writer.write(chunk)
        except MalformedDicom as error:
            self._writer.discard()
            named = [facts.text(attributes, tag, 64) for tag in _UID_TAGS]
            if not all(is_valid_uid(uid) for uid in named):
                named = [""] * len(named)
            self.outcomes.append(
                Outcome(
                    named[0], named[1], named[2], named[3], Failure.NOT_UNDERSTOOD, error.message
                )
            )
            return
        except BaseException:
            self._writer.discard()
            raise
        self._settle()

    def refuse(self, failure: Failure, text: str) -> None:
        """Something that no UID can be named of was not stored."""
        self.outcomes.append(Outcome(failure=failure, text=text))

    def finish(self) -> list[Outcome]:
        """Make everything that was taken durable and findable; what became of each instance.

        Raises:
            StoreUnavailable, DatabaseError: nothing is promised; sent again, nothing is stored twice.
        """
        items = list(self._items.values())
        if self._write_quickly(items):
            return self._answer(items)
        packed, refused, why = self._packed, set[str](), ""
        for _ in range(_LOOKS):
            fresh, seen = self._compare(
                [item for item in items if item.study_instance_uid not in refused]
            )
            if not fresh:
                if refused and packed:
                    # Nobody may take it for one whose answer was lost, and bring the study back when it is purged.
                    object_store().delete(packed.key)
                return self._answer(items, refused, why)
            packed = packed or self._put()
            try:
                written = rows.write(packed=packed, items=fresh, seen=seen, actor=self.actor)
            except SeriesHasMoved:
                continue
            except StudyIsDeleted as error:
                # The other studies of the request are not concerned.
                refused |= self._refusing({item.study_instance_uid for item in fresh})
                refused.add(str(error.facts["study_instance_uid"]))
                why = error.message
                continue
            late = [item for item in fresh if item.entry.sop_instance_uid not in written]
            self._compare(
                late
            )  # another request stored them meanwhile: the same bytes, or a conflict
            return self._answer(items, refused, why)
        raise StoreBusy

    def _refusing(self, study_uids: set[str]) -> set[str]:
        found = deleting.in_force_among(
            institution_id=self.target.institution_id, study_instance_uids=study_uids
        )
        return {uid for uid, deletion in found.items() if deleting.refuses_stores(deletion)}

    def _write_quickly(self, items: list[Item]) -> bool:
        """One instance of a series that this process stored into before: no look at what is held, but the
        one that the database has while it writes."""
        if len(items) != 1:
            return False
        place, target = items[0].place, self.target.institution_id
        series = quick.seen(target, place)
        if series is None or held.digests_of(series.prefix, [items[0].entry.sop_instance_uid]):
            return False
        packed = self._put()
        written = quick.write(
            institution_id=target,
            key=packed.key,
            size_bytes=packed.size_bytes,
            items=items,
            seen=series,
        )
        if written is None:
            quick.forget(target, place)
            return False
        rows.record_view(self.actor, target, place[0])
        if not written:
            self._compare(items)  # it was held already: the same bytes, or a conflict
        return True

    def _settle(self) -> None:
        offset, length, sha256 = self._writer.current
        try:
            instance = read_instance(
                self._writer.file,
                offset=offset,
                length=length,
                character_set=self.target.character_set,
            )
        except MalformedDicom as error:
            self._keep_aside(Quarantined.Reason(error.reason), error.message, Outcome())
            self.outcomes.append(Outcome(failure=Failure.NOT_UNDERSTOOD, text=error.message))
            self._writer.discard()
            return
        failure, text = self._judge(instance, sha256)
        if failure is None and not text:
            self._accept(instance)
            return
        outcome = Outcome(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.study_instance_uid,
            instance.series_instance_uid,
            failure,
            text,
        )
        if failure in _REFUSALS:
            self._keep_aside(_REFUSALS[failure], text, outcome)
        if failure is not None:
            self.outcomes.append(outcome)
        self._writer.discard()

    def _judge(self, instance: Instance, sha256: str) -> tuple[Failure | None, str]:
        """Why not, or that it came twice in this request (no failure, and a text), or neither."""
        if self.study_instance_uid not in ("", instance.study_instance_uid):
            return Failure.WRONG_STUDY, "It belongs to another study than the address names."
        refusal = self._may_store(instance) if self._may_store else ""
        if refusal:
            return Failure.NOT_AUTHORIZED, refusal
        twin = self._items.get(_key(instance))
        if twin is None:
            if self._header_bytes > MOST_HEADER_BYTES:
                return (
                    Failure.OUT_OF_RESOURCES,
                    "The headers of one request are too large together.",
                )
            return None, ""
        if twin.entry.sha256 == sha256:
            return None, "It came twice."
        return Failure.DUPLICATE, "This request holds the UID twice, with other bytes."

    def _accept(self, instance: Instance) -> None:
        name = f"{instance.sop_instance_uid}.dcm"
        if self._writer.find(name) is not None:  # two series of one request with the same UID
            name = f"{len(self._items)}.dcm"
        packed = self._writer.commit(name)
        place = (instance.study_instance_uid, instance.series_instance_uid)
        first = place not in self._described
        self._described.add(place)
        item = item_of(instance, packed, describes=first)
        self._header_bytes += len(item.header)
        self._items[_key(instance)] = item

    def _compare(self, items: list[Item]) -> tuple[list[Item], dict[Place, int | None]]:
        """Those of which nothing is held yet, and the revision of each series that this was compared with."""
        fresh: list[Item] = []
        seen: dict[Place, int | None] = {}
        for study_uid, group in groupby(sorted(items, key=_by_study), key=_by_study):
            by_series: dict[str, list[Item]] = {}
            for item in group:
                by_series.setdefault(item.series_instance_uid, []).append(item)
            known = {
                series.series_instance_uid: series
                for series in held.series_of(
                    institution_id=self.target.institution_id,
                    study_uid=study_uid,
                    series_uids=by_series,
                )
            }
            for series_uid, batch in by_series.items():
                series = known.get(series_uid)
                seen[study_uid, series_uid] = series.current_id if series else None
                if series is not None and series.is_held:
                    prefix = series.current.prefix if series.current else ""
                    quick.remember(
                        self.target.institution_id,
                        (study_uid, series_uid),
                        quick.Seen(series.current_id, prefix),
                    )
                digests = (
                    held.held_digests(series, [item.entry.sop_instance_uid for item in batch])
                    if series
                    else {}
                )
                fresh += [item for item in batch if not self._is_held(item, digests)]
        return fresh, seen

    def _is_held(self, item: Item, digests: dict[str, str]) -> bool:
        """Whether the instance is held already; with other bytes it is a case, and a failure."""
        uid = item.entry.sop_instance_uid
        if uid not in digests:
            return False
        key = (item.study_instance_uid, item.series_instance_uid, uid)
        if digests[uid] != item.entry.sha256 and key in self._items:
            text = (
                f"An instance with this UID and other bytes is held (SHA-256 {digests[uid][:16]}…)."
            )
            outcome = item.outcome(Failure.DUPLICATE, text)
            self._keep_aside(Quarantined.Reason.CONFLICT, text, outcome, item.entry)
            self.outcomes.append(outcome)
            del self._items[key]
        return True

    def _put(self) -> Packed:
        pack = self._writer.seal(sync=False)  # the store does, or keeps it elsewhere
        self._sealed = pack.path.open("rb")  # stays readable when the file has moved
        key = keys.incoming_key(self.target.institution_code, uuid4().hex)
        object_store().put_file(key, pack.path, move=True, content_type="application/zip")
        self._packed = Packed(self.target.institution_id, key, pack.size)
        return self._packed

    def _answer(
        self, items: list[Item], refused: Set[str] = frozenset(), why: str = ""
    ) -> list[Outcome]:
        """What became of the items; those of the refused studies failed."""
        for item in items:
            if (*item.place, item.entry.sop_instance_uid) in self._items:
                failed = item.study_instance_uid in refused
                self.outcomes.append(
                    item.outcome(Failure.NOT_AUTHORIZED, why) if failed else item.outcome()
                )
        return self.outcomes

    def _keep_aside(
        self,
        reason: Quarantined.Reason,
        text: str,
        outcome: Outcome,
        entry: InstanceEntry | None = None,
    ) -> None:
        if entry is None:
            offset, length, sha256 = self._writer.current
        else:
            offset, length, sha256 = entry.offset, entry.size, entry.sha256
        if not length:
            return
        with self._reader() as file:
            quarantine.keep(
                asked=Asked(
                    institution_id=self.target.institution_id,
                    institution_code=self.target.institution_code,
                    study_instance_uid=self.study_instance_uid or outcome.study_instance_uid,
                    series_instance_uid=outcome.series_instance_uid,
                ),
                reason=reason,
                text=text,
                sop_instance_uid=outcome.sop_instance_uid,
                sha256=sha256,
                size_bytes=length,
                data=Region(file, offset=offset, length=length),
                actor=self.actor,
            )

    @contextmanager
    def _reader(self) -> Iterator[BinaryIO]:
        if self._sealed is not None:
            yield self._sealed
            return
        with self._writer.path.open("rb") as file:
            yield file

    def close(self) -> None:
        """Give back what is open; again does nothing."""
        self._writer.abort()
        if self._sealed is not None:
            self._sealed.close()
            self._writer.path.unlink(missing_ok=True)  # where the store did not take it


def _key(instance: Instance) -> tuple[str, str, str]:
    return (
        instance.study_instance_uid,
        instance.series_instance_uid,
        instance.sop_instance_uid,
    )


def _by_study(item: Item) -> str:
    return item.study_instance_uid


@contextmanager
def open_request(
    *,
    actor: Actor,
    target: StoreTarget,
    study_instance_uid: str = "",
    may_store: MayStore | None = None,
) -> Iterator[StoreRequest]:
    """A store request with its place on local disk, which is given back at the end."""
    writer = PackWriter(spool_file("store"))
    request = StoreRequest(
        actor=actor,
        target=target,
        writer=writer,
        study_instance_uid=study_instance_uid,
        may_store=may_store,
    )
    try:
        yield request
    finally:
        request.close()
