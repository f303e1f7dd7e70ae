"""Pull one series: claim, list, stream, seal, prove. One call, safe to be killed at any point."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from common.archive.documents import InstanceEntry, SeriesIndex
from common.archive.errors import DocumentUnreadable
from common.archive.pack import PackWriter
from common.dicomweb.errors import (
    MalformedMultipart,
    OriginAnswerInvalid,
    OriginError,
    OriginNotFound,
)
from common.dicomweb.multipart import IncomingPart
from common.dicomweb.origin import Origin
from common.errors import DomainError
from common.storage import ObjectMissing
from hospitals import selectors as hospital_selectors
from hospitals import services as hospital_services
from sharing.domain import facts
from sharing.domain.completeness import Listing, compare
from sharing.errors import (
    ArchiveDamaged,
    LeaseLost,
    NothingRetrieved,
    PullCrashed,
    SeriesIncomplete,
    SpoolFailed,
)
from sharing.models import Series, SeriesRevision
from sharing.services import gathering, proving, quarantine, revisions, transfers
from sharing.services.quarantine import Asked
from sharing.services.receiving import JsonSpool, Receiver
from sharing.services.transfers import Claim

log = structlog.get_logger(__name__)

MISSING_ONE_BY_ONE = 50  # up to so many missing instances are asked for singly
# A series whose answer as one broke this often is asked for instance by instance: one bad part hides no other.
SERIES_AS_ONE_TRIES = 2
MOST_ONE_BY_ONE = 5000


@dataclass(frozen=True)
class Outcome:
    """What one pull of a series did."""

    instances: int
    size_bytes: int
    quarantined: int


class Watcher(Protocol):
    """Looks on while a series arrives: a reader who waits for it (``on_demand``)."""

    def begun(self, pack: Path) -> None:
        """The pack is there, still empty; it goes away when the pull ends."""

    def accepted(self, entry: InstanceEntry) -> None:
        """This instance passed its checks and lies in the pack."""


class Progress:
    """Renews the lease and shows the progress from a thread of its own, while the worker's thread works.

    ``check()`` raises LeaseLost in the worker's thread once another worker has taken over.
    """

    def __init__(self, held: Claim) -> None:
        self._held = held
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self.instances = self.bytes = 0
        self.expected: int | None = None

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def seen(self, instances: int, size_bytes: int) -> None:
        self.instances, self.bytes = instances, size_bytes
        self.check()

    def check(self) -> None:
        if self._lost:
            raise LeaseLost

    def _run(self) -> None:
        lease_s = transfers.lease().total_seconds()
        until = time.monotonic() + lease_s
        try:
            while not self._stop.wait(min(2.0, lease_s / 4)):
                try:
                    transfers.renew(
                        self._held,
                        instances=self.instances,
                        size_bytes=self.bytes,
                        expected=self.expected,
                    )
                    until = time.monotonic() + lease_s
                except LeaseLost:
                    self._lost = True
                    return
                except DatabaseError as error:
                    # The database is away: go on while the lease lasts, it may come back.
                    log.warning("lease.renew_failed", error=type(error).__name__)
                    self._lost = time.monotonic() > until
        finally:
            connection.close()


def run_transfer(*, transfer_id: int, worker: str) -> Outcome | None:
    """Run one transfer to its end; None when somebody else has it.

    Whatever happens is written into the row: done, waiting for its next try, or failed with the reason.
    """
    held = transfers.claim(transfer_id=transfer_id, worker=worker)
    return None if held is None else run_claimed(held)


def run_claimed(held: Claim, *, watcher: Watcher | None = None) -> Outcome | None:
    """As ``run_transfer``, of a transfer that the caller has claimed; None when it did not succeed."""
    try:
        with Progress(held) as progress, _spool(held) as folder:
            pull = _SeriesPull(held=held, progress=progress, folder=folder, watcher=watcher)
            outcome = pull.run()
        transfers.finish(
            held,
            instances=outcome.instances,
            size_bytes=outcome.size_bytes,
            quarantined=outcome.quarantined,
        )
    except LeaseLost:
        log.warning("transfer.lease_lost", transfer_id=held.transfer_id)
        return None
    except (DomainError, OSError) as error:
        _put_back(held, error)
        return None
    except DatabaseError:
        raise  # the lease ends by itself, and the row is handed out again
    except Exception as error:
        _put_back(held, PullCrashed(f"{PullCrashed().message} ({type(error).__name__})"))
        raise
    proving.certify(study_id=held.study_id)
    return outcome


def _put_back(held: Claim, error: DomainError | OSError) -> None:
    if isinstance(error, OSError):
        error = SpoolFailed(f"The local spool cannot be written: {error.strerror or error}.")
    if isinstance(error, OriginError):
        hospital_services.record_origin_failure(institution_id=held.institution_id, error=error)
    retryable = getattr(error, "retryable", True)
    log.warning("transfer.failed", transfer_id=held.transfer_id, code=error.code)
    transfers.put_back(
        held,
        error=error,
        retryable=retryable,
        quarantined=int(str(error.facts.get("quarantined", 0))),
    )


class _SeriesPull:
    """One series on its way from the hospital into the archive."""

    def __init__(
        self, *, held: Claim, progress: Progress, folder: Path, watcher: Watcher | None = None
    ) -> None:
        self.held = held
        self.progress = progress
        gathering.try_to_gather(series_id=held.series_id)  # what was pushed is held too
        self.series = Series.objects.select_related("current", "study").get(pk=held.series_id)
        self.policy = hospital_selectors.pull_policy(institution_id=held.institution_id)
        self.base = self._newest_sound()
        index = self.base[1] if self.base else None
        self.before = revisions.entries_by_uid(index.instances) if index else {}
        self.writer = PackWriter(folder / "series.zip")
        self.watched = watcher is not None
        if watcher is not None:
            watcher.begun(self.writer.path)
        self.spool = JsonSpool(folder / "metadata")
        self.receiver = Receiver(
            writer=self.writer,
            spool=self.spool,
            asked=Asked(
                institution_id=held.institution_id,
                institution_code=self.policy.code,
                study_instance_uid=held.study_instance_uid,
                series_instance_uid=held.series_instance_uid,
            ),
            character_set=self.policy.character_set,
            held=self.before,
            progress=progress.seen,
            accepted=watcher.accepted if watcher is not None else None,
        )

    def run(self) -> Outcome:
        try:
            with hospital_services.open_origin(
                institution_id=self.held.institution_id, keep=True
            ) as origin:
                listing, broken = self._receive(origin)
            revision = self._former()
            if self.receiver.received or (revision is None and self.before):
                revision = self._store(listing)
        finally:
            self.writer.abort()
            self.spool.close()
        if revision is None:
            if broken is None:
                raise NothingRetrieved(quarantined=self.receiver.quarantined)
            broken.facts["quarantined"] = self.receiver.quarantined
            raise broken
        return self._judge(revision, listing, broken)

    def _receive(self, origin: Origin) -> tuple[Listing, OriginError | MalformedMultipart | None]:
        """The instances, and what the hospital lists. For somebody who waits the list comes after the first image:
        some hospitals take seconds to make it."""
        by_count = Listing(count=self.series.listed_instances)
        waits = self.watched and not self.before and self.held.attempts <= SERIES_AS_ONE_TRIES
        listing = by_count if waits else list_instances(origin, series=self.series)
        self.progress.expected = listing.expected
        broken = self.receiver.take_all(
            _parts(origin, held=self.held, before=self.before, listing=listing)
        )
        if not waits or broken is not None:
            return listing, broken
        try:
            return list_instances(origin, series=self.series), None
        except OriginError as error:  # what came is kept, and compared with the count
            return by_count, error

    def _newest_sound(self) -> tuple[SeriesRevision, SeriesIndex] | None:
        """The newest revision that can be built upon.

        A former try may have ended between storing and proving: what was never read back is read now. Asked
        to compare everything again, the proved one is read too. What is damaged comes anew, into the next
        revision, together with what an older one holds.
        """
        if self.series.current is None:
            return None
        for revision in self.series.revisions.order_by("-number"):
            try:
                index = revisions.stored_index(revision)
                if (
                    revision.verified_at is None
                    or self.held.again
                    or revision != self.series.current
                ):
                    proving.read_back(index=index)
            except (ArchiveDamaged, DocumentUnreadable, ObjectMissing) as error:
                log.warning("revision.damaged", prefix=revision.prefix, reason=error.message)
            else:
                return revision, index
        return None

    def _store(self, listing: Listing) -> SeriesRevision:
        received = list(self.receiver.received.values())
        if self.base is not None:
            former, index = self.base
            received += revisions.carry_over(
                index=index, prefix=former.prefix, writer=self.writer, spool=self.spool
            )
        self.progress.check()
        sealed = revisions.seal(
            institution_code=self.policy.code,
            held=self.held,
            number=(self.series.current.number if self.series.current else 0) + 1,
            received=received,
            writer=self.writer,
            spool=self.spool,
            character_set=self.policy.character_set,
            listing=listing,
        )
        self.progress.check()
        revision = revisions.make_current(held=self.held, sealed=sealed, listing=listing)
        proving.read_back(index=sealed.index)
        return revision

    def _former(self) -> SeriesRevision | None:
        """The current revision, if it is sound."""
        return self.base[0] if self.base and self.base[0] == self.series.current else None

    def _judge(
        self, revision: SeriesRevision, listing: Listing, broken: DomainError | None
    ) -> Outcome:
        uids = self.before.keys() | self.receiver.received.keys()
        whole = revisions.mark_verified(
            revision=revision, held_uids=uids, listing=listing, cut_off=broken is not None
        )
        if isinstance(broken, OriginError):
            hospital_services.record_origin_failure(
                institution_id=self.held.institution_id, error=broken
            )
        if not whole or (broken is not None and self._is_unfinished_comparison(listing)):
            raise self._incomplete(listing, uids, broken)
        hospital_services.record_origin_success(institution_id=self.held.institution_id)
        quarantine.settle_truncated(
            institution_id=self.held.institution_id,
            series_instance_uid=self.held.series_instance_uid,
        )
        return Outcome(len(uids), self.receiver.bytes, self.receiver.quarantined)

    def _is_unfinished_comparison(self, listing: Listing) -> bool:
        """Asked to compare every instance again, and not every listed one came."""
        came = self.receiver.received.keys() | self.receiver.confirmed
        return self.held.again and not compare(listing=listing, held=came).complete

    def _incomplete(
        self, listing: Listing, held: Collection[str], broken: DomainError | None
    ) -> SeriesIncomplete:
        missing = compare(listing=listing, held=held).missing_count
        parts = []
        if listing.expected is not None:
            parts.append(
                f"The hospital lists {listing.expected} instances; {missing} are not here."
            )
        if broken is not None:
            parts.append(broken.message)
        return SeriesIncomplete(" ".join(parts), quarantined=self.receiver.quarantined)


def list_instances(origin: Origin, *, series: Series) -> Listing:
    """What the hospital lists of a series: UIDs where it can, else the count of its series list."""
    try:
        rows = origin.search_instances(
            study_instance_uid=series.study.study_instance_uid,
            series_instance_uid=series.series_instance_uid,
        )
    except (OriginNotFound, OriginAnswerInvalid):
        return Listing(count=series.listed_instances)
    uids = frozenset(facts.text(row, facts.SOP_INSTANCE_UID, 64) for row in rows) - {""}
    return Listing(uids=uids or None, count=series.listed_instances)


def _parts(
    origin: Origin, *, held: Claim, before: dict[str, str], listing: Listing
) -> Iterator[IncomingPart]:
    """The instances that are wanted: all of the series, or singly the few that are missing."""
    uids = {
        "study_instance_uid": held.study_instance_uid,
        "series_instance_uid": held.series_instance_uid,
    }
    missing = sorted((listing.uids or frozenset()) - before.keys())
    few = bool(before) and len(missing) <= MISSING_ONE_BY_ONE
    stuck = held.attempts > SERIES_AS_ONE_TRIES and len(missing) <= MOST_ONE_BY_ONE
    if held.again or listing.uids is None or not (few or stuck):
        with origin.retrieve_series(**uids) as parts:
            yield from parts
        return
    for uid in missing:
        try:
            with origin.retrieve_instance(**uids, sop_instance_uid=uid) as parts:
                yield from parts
        except OriginNotFound:
            # Listed and not there: it stays missing and is reported so; the others still come.
            log.info("instance.listed_but_absent", transfer_id=held.transfer_id)


@contextmanager
def _spool(held: Claim) -> Iterator[Path]:
    root = settings.DATA_DIR / "spool"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(root.stat().st_mode) != 0o700 and root.stat().st_uid == os.getuid():
        root.chmod(0o700)  # an older release made it for all to read
    folder = Path(mkdtemp(prefix=f"{held.transfer_id}-{held.generation}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
