"""Revisions: late instances, crashes at every step, proof, certificates, sweep, scrub and rebuild."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from django.utils import timezone

from common.archive import keys
from common.events.models import OutboxEvent
from common.storage import object_store
from sharing.models import (
    Certificate,
    Quarantined,
    Series,
    SeriesRevision,
    Study,
    Transfer,
)
from sharing.services import proving, pulling, revisions, sweeping, transfers
from sharing.services.rebuilding import rebuild_index
from sharing.services.scrubbing import scrub
from tests.support.index_dump import index_dump
from tests.support.pulling import (
    SERIES,
    STUDY,
    add_all,
    archived,
    discover,
    held,
    index_of,
    instance,
    make_due,
    run_due,
)

DAYS = timedelta(days=1)


class Killed(BaseException):
    """As if the process ended here."""


def faults() -> list[str]:
    return [fault for result in scrub() for fault in result.faults]


def grow_old(root: Path, days: float = 2) -> None:
    then = (timezone.now() - days * DAYS).timestamp()
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def path_of(root: Path, ending: str) -> Path:
    return next(path for path in sorted(root.rglob("*")) if path.name.endswith(ending))


def spoil(path: Path, offset: int = 5000) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[min(offset, len(data) // 2)] ^= 0xFF
    path.write_bytes(data)


def drop_index() -> None:
    Series.objects.update(current=None)
    for model in (Transfer, Certificate, SeriesRevision, Series, Study, Quarantined):
        model.objects.all().delete()


def rebuild():
    *_, done = rebuild_index()
    return done


def test_late_instances_make_a_second_revision_that_holds_all_of_them(hospital):
    add_all(hospital.origin, [instance(1), instance(3)])
    hospital.pull()
    first = SeriesRevision.objects.get()
    add_all(hospital.origin, [instance(2), instance(4)])
    hospital.origin.requests.clear()

    hospital.pull()

    second = Series.objects.get().current
    assert (second.number, second.instance_count) == (2, 4)
    assert archived() == held(hospital.origin)
    assert [entry.instance_number for entry in index_of(second).instances] == [1, 2, 3, 4]
    assert {entry.sop_instance_uid for entry in index_of(first).instances} == {
        f"{SERIES}.1",
        f"{SERIES}.3",
    }
    asked = [path for path, _ in hospital.origin.requests if "/instances/" in path]
    assert len(asked) == 2  # only what was missing crossed the line
    assert faults() == []


def test_the_hospital_may_delete_what_the_archive_has(hospital):
    add_all(hospital.origin, [instance(1), instance(2)])
    hospital.pull()
    before = archived()
    hospital.origin.remove(f"{SERIES}.1")
    hospital.origin.add(instance(3))
    hospital.origin.add(instance(4))

    hospital.pull()

    assert archived() == before | held(hospital.origin)
    assert Study.objects.get().state == "archived"


STEPS = [
    pytest.param(revisions, "make_current", id="before-the-row"),
    pytest.param(proving, "read_back", id="before-the-proof"),
    pytest.param(revisions, "mark_verified", id="before-the-comparison-is-kept"),
    pytest.param(transfers, "finish", id="before-the-transfer-ends"),
    pytest.param(proving, "certify", id="before-the-certificate"),
]


@pytest.mark.parametrize("late", [False, True], ids=["first", "late-instances"])
@pytest.mark.parametrize(("module", "name"), STEPS)
def test_a_crash_at_any_step_never_leaves_half_a_series_and_the_next_try_ends_as_undisturbed(
    hospital, archive, monkeypatch, module, name, late
):
    add_all(hospital.origin, [instance(1), instance(2)])
    if late:
        hospital.pull()
        add_all(hospital.origin, [instance(3)])
    before = archived()
    discover(hospital.id)
    (pk,) = transfers.hand_out(slots=1)

    def killed(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            pulling.run_transfer(transfer_id=pk, worker="dies")

    assert archived() in (before, held(hospital.origin))
    assert faults() == []

    Transfer.objects.filter(state="running").update(lease_until=timezone.now() - DAYS)
    transfers.release_lost()
    run_due(hospital.id)

    assert archived() == held(hospital.origin)
    assert Study.objects.get().state == "archived"
    assert Transfer.objects.exclude(state="done").count() == 0
    grow_old(archive)
    sweeping.sweep()
    named = set(SeriesRevision.objects.values_list("prefix", flat=True))
    found = {keys.parse_revision_key(stat.key) for stat in object_store().list("archive/")}
    assert {key.prefix for key in found if key is not None} == named
    assert faults() == []


@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_crash_between_the_objects_and_the_row_leaves_an_orphan_for_the_sweeper(
    hospital, archive, monkeypatch, written
):
    hospital.origin.add(instance(1))
    store, puts = object_store(), []

    def dying(name):
        real = getattr(store, name)

        def put(key, *args, **kwargs):
            if key.startswith("archive/"):
                if len(puts) == written:
                    raise Killed
                puts.append(key)
            return real(key, *args, **kwargs)

        return put

    discover(hospital.id)
    (pk,) = transfers.hand_out(slots=1)
    with monkeypatch.context() as patch:
        patch.setattr(store, "put_file", dying("put_file"))
        patch.setattr(store, "put_bytes", dying("put_bytes"))
        if written == 3:
            patch.setattr(revisions, "write_rows", lambda **_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            pulling.run_transfer(transfer_id=pk, worker="dies")

    assert len(puts) == written
    assert Series.objects.get().current is None
    assert sweeping.sweep().orphans == []  # too young: it may belong to a running pull
    grow_old(archive)
    # A whole revision is kept while nothing replaces it: a rebuild could use it.
    assert len(sweeping.sweep(dry_run=True).orphans) == (0 if written == 3 else written)
    hospital.origin.add(instance(2))
    Transfer.objects.update(lease_until=timezone.now() - DAYS)
    transfers.release_lost()
    run_due(hospital.id)
    grow_old(archive)

    swept = sweeping.sweep()

    assert sorted(swept.orphans) == sorted(puts)
    assert archived() == held(hospital.origin)
    assert faults() == []


def test_a_sweep_over_a_lost_index_removes_nothing(hospital, archive):
    add_all(hospital.origin, [instance(1), instance(1, study="1.2.9", series="1.2.9.1")])
    hospital.pull()
    before = [stat.key for stat in object_store().list("")]
    drop_index()
    grow_old(archive)

    assert sweeping.sweep().orphans == []
    assert [stat.key for stat in object_store().list("")] == before


def test_abandoned_spools_are_swept_and_young_ones_left(archive, settings, db):
    spool = settings.DATA_DIR / "spool"
    (spool / "old").mkdir(parents=True)
    (spool / "young").mkdir()
    then = (timezone.now() - 2 * DAYS).timestamp()
    os.utime(spool / "old", (then, then))

    assert sweeping.sweep().spools == 1
    assert [path.name for path in spool.iterdir()] == ["young"]


def test_a_whole_study_gets_one_certificate_and_one_event(hospital):
    add_all(hospital.origin, [instance(1), instance(1, series=f"{STUDY}.2")])

    hospital.pull()
    hospital.pull()
    study = Study.objects.get()
    assert proving.certify(study_id=study.pk) is None

    certificate = Certificate.objects.get()
    assert (certificate.number, certificate.body["instances"]) == (1, 2)
    assert [entry["listed"] for entry in certificate.body["series"]] == [1, 1]
    assert [entry["compared_by"] for entry in certificate.body["series"]] == ["uids", "uids"]
    assert orjson.loads(object_store().get_bytes(certificate.object_key)) == certificate.body
    events = OutboxEvent.objects.all()
    assert [event.payload["certificate_number"] for event in events] == [1]


def test_a_new_revision_gets_a_new_certificate(hospital):
    hospital.origin.add(instance(1))
    hospital.pull()
    hospital.origin.add(instance(2))

    hospital.pull()

    numbers = {one.number: one.body["instances"] for one in Certificate.objects.all()}
    assert numbers == {1: 1, 2: 2}
    assert OutboxEvent.objects.count() == 2


def test_a_study_with_one_incomplete_series_has_no_certificate(hospital):
    add_all(hospital.origin, [instance(1), instance(1, series=f"{STUDY}.2")])
    hospital.origin.manners.lie = 1

    hospital.pull()

    assert not Certificate.objects.exists()
    assert Study.objects.get().state == "incomplete"


def test_what_the_store_did_not_keep_is_noticed_when_read_back_and_pulled_anew(
    hospital, archive, monkeypatch
):
    add_all(hospital.origin, [instance(1), instance(2)])
    real = proving.read_back

    def rotten(*, index):
        spoil(path_of(archive, ".zip"))
        real(index=index)

    with monkeypatch.context() as patch:
        patch.setattr(proving, "read_back", rotten)
        hospital.pull()

    transfer = Transfer.objects.get()
    assert (transfer.state, transfer.error_code) == ("waiting", "archive-damaged")
    assert not Certificate.objects.exists()

    make_due(hospital.id)
    run_due(hospital.id)

    assert Series.objects.get().current.number == 2
    assert archived() == held(hospital.origin)
    assert faults() == []


def test_damage_in_the_archive_is_named_by_the_scrub_and_mended_by_asking_again(hospital, archive):
    add_all(hospital.origin, [instance(1), instance(2)])
    hospital.pull()
    assert faults() == []
    spoil(path_of(archive, ".zip"))

    found = faults()
    assert any(f"{SERIES}.1" in fault for fault in found)

    Transfer.objects.update(state="waiting", again=True)
    run_due(hospital.id)

    assert archived() == held(hospital.origin)
    assert faults() == []


def test_damage_stops_late_instances_from_being_built_upon_it(hospital, archive):
    add_all(hospital.origin, [instance(1), instance(2)])
    hospital.pull()
    spoil(path_of(archive, ".zip"))
    hospital.origin.add(instance(3))

    hospital.pull()

    transfer = Transfer.objects.latest("pk")
    assert (transfer.state, transfer.error_code) == ("waiting", "archive-damaged")
    assert Series.objects.get().current.number == 1


@pytest.mark.parametrize("ending", [".zip", ".metadata.json.gz", ".index.json.gz", "-000001.json"])
def test_the_scrub_names_whatever_object_is_missing_or_damaged(hospital, archive, ending):
    hospital.origin.add(instance(1))
    hospital.pull()
    path = path_of(archive, ending)
    spoil(path, offset=30)
    assert faults()

    path.unlink()

    assert faults()
    assert list(scrub(study_instance_uid="1.2.3.4")) == []


def test_the_index_is_rebuilt_equal_from_the_bucket_alone(hospital):
    add_all(hospital.origin, [instance(1, name="张^三"), instance(1, series=f"{STUDY}.2")])
    add_all(hospital.origin, [instance(1, study="1.2.9", series="1.2.9.1")])
    hospital.origin.add(instance(1, comment="edited"))
    hospital.pull()
    hospital.origin.add(instance(2))
    hospital.pull()
    before = index_dump()
    drop_index()

    done = rebuild()

    assert done.unusable == []
    assert (done.studies, done.series, done.revisions) == (2, 3, 4)
    assert index_dump() == before
    assert faults() == []


def test_a_rebuild_over_a_living_index_drops_and_changes_nothing(hospital):
    hospital.origin.add(instance(1))
    hospital.pull()
    hospital.origin.add(instance(1, study="1.2.9", series="1.2.9.1"))
    discover(hospital.id)
    before = index_dump()

    done = rebuild()

    assert (done.revisions, done.certificates) == (0, 0)
    assert index_dump() == before
    assert Transfer.objects.filter(state="waiting").count() == 1


def test_an_incomplete_series_is_incomplete_after_the_rebuild(hospital):
    hospital.origin.add(instance(1))
    hospital.origin.manners.lie = 3
    hospital.pull()
    drop_index()

    rebuild()

    assert Series.objects.get().state == "incomplete"
    assert Series.objects.get().listed_instances == 4
    assert Study.objects.get().state == "incomplete"


def test_a_rebuild_says_what_it_cannot_use_and_goes_on(hospital, archive):
    add_all(hospital.origin, [instance(1), instance(1, study="1.2.9", series="1.2.9.1")])
    hospital.pull()
    drop_index()
    spoil(path_of(archive / "archive/H1/1.2.9", ".index.json.gz"), offset=40)
    object_store().put_bytes("archive/H1/notes.txt", b"hello")
    certificate = path_of(archive / "archive/H1" / STUDY, "-000001.json")
    certificate.chmod(0o600)
    certificate.write_bytes(b"{}")

    done = rebuild()

    assert Study.objects.filter(study_instance_uid=STUDY).exists()
    assert Series.objects.get(series_instance_uid=SERIES).current is not None
    assert len(done.unusable) == 3
