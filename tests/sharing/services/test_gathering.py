"""What senders stored singly becomes one pack for each series (ADR 0015)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.archive import keys
from common.events.models import OutboxEvent
from common.storage import object_store
from sharing.errors import ArchiveDamaged
from sharing.models import (
    IncomingPack,
    Quarantined,
    ReceivedInstance,
    Series,
    SeriesRevision,
    Study,
    Transfer,
)
from sharing.permissions import StoreTarget
from sharing.services import gathering, rebuilding
from sharing.services.scrubbing import scrub
from sharing.services.storing import open_request
from sharing.services.sweeping import sweep
from tests.support.pulling import SERIES, STUDY, Hospital, archived, instance, make_due, sha256

pytestmark = pytest.mark.django_db(transaction=True)
OLD = timezone.now() - timedelta(hours=2)


def push(hospital: Any, *instances: bytes) -> list[Any]:
    target = StoreTarget(hospital.pk, hospital.code, "active", "", False)
    with open_request(actor="test", target=target) as store:
        for data in instances:
            store.take([data])
        return store.finish()


@pytest.fixture
def place(archive: Path, make_hospital: Any) -> Any:
    return make_hospital("H1", base_url="http://127.0.0.1:1/")


def test_a_series_is_packed_when_nothing_came_for_a_while_or_much_came(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(place, instance(1), instance(2))

    at_once = gathering.gather_due()
    monkeypatch.setattr(gathering, "MANY", 2)
    much = gathering.gather_due()
    push(place, instance(3))
    ReceivedInstance.objects.filter(packed_at=None).update(stored_at=OLD)
    quiet = gathering.gather_due()

    assert (at_once, much, quiet) == (0, 1, 1)
    assert SeriesRevision.objects.count() == 2
    assert len(archived()) == 3


def test_a_study_becomes_retrievable_when_it_is_packed(place: Any) -> None:
    push(place, instance(1))

    gathering.gather(series_id=Series.objects.get().pk)

    assert OutboxEvent.objects.filter(type__contains="StudyBecameRetrievable").exists()
    assert not [result for result in scrub() if result.faults]


def test_what_is_damaged_before_it_is_packed_is_not_passed_on(place: Any) -> None:
    push(place, instance(1))
    path = object_store().path_of(IncomingPack.objects.get().object_key)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)

    with pytest.raises(ArchiveDamaged):
        gathering.gather(series_id=Series.objects.get().pk)

    assert not SeriesRevision.objects.exists()


def test_a_revision_whose_prover_died_is_proved_later(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(place, instance(1))
    with monkeypatch.context() as patch:
        patch.setattr(gathering, "prove", lambda **_: None)
        gathering.gather(series_id=Series.objects.get().pk)
    SeriesRevision.objects.update(stored_at=OLD)
    ReceivedInstance.objects.update(packed_at=OLD)
    IncomingPack.objects.update(stored_at=OLD)

    gathering.forget_packed()
    kept = IncomingPack.objects.count()  # not yet: nothing is proved
    proved = gathering.prove_overdue()
    gathering.forget_packed()

    assert (kept, proved) == (1, 1)
    assert Study.objects.get().state == "archived"
    assert not IncomingPack.objects.exists()


def test_a_pull_takes_up_what_was_pushed_and_a_push_what_was_pulled(hospital: Hospital) -> None:
    push(hospital.institution, instance(1))
    for number in (1, 2, 3):
        hospital.origin.add(instance(number))

    hospital.pull()
    push(hospital.institution, instance(3), instance(4))
    gathering.gather(series_id=Series.objects.get().pk)

    expected = {f"{SERIES}.{number}": sha256(instance(number)) for number in (1, 2, 3, 4)}
    assert archived() == expected
    assert Study.objects.get().state == "archived"
    assert Study.objects.get().instance_count == 4
    assert not Quarantined.objects.exists()
    assert set(Transfer.objects.values_list("state", flat=True)) == {"done"}
    make_due(hospital.id)


def test_an_incoming_pack_that_no_row_names_is_taken_in_by_the_sweep(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(place, instance(1), instance(2))
    Study.objects.all().delete()
    IncomingPack.objects.all().delete()

    swept = sweep(older_than=timedelta(0))

    assert swept.orphans == []
    assert ReceivedInstance.objects.count() == 2
    gathering.gather(series_id=Series.objects.get().pk)
    assert len(archived()) == 2


def test_an_incoming_pack_of_what_is_held_anyway_is_removed_by_the_sweep(place: Any) -> None:
    push(place, instance(1))
    key = IncomingPack.objects.get().object_key
    gathering.gather(series_id=Series.objects.get().pk)
    ReceivedInstance.objects.all().delete()
    IncomingPack.objects.all().delete()

    swept = sweep(older_than=timedelta(0))

    assert swept.orphans == [key]
    assert not list(object_store().list("incoming/"))


def test_a_lost_index_comes_back_with_what_was_not_packed(place: Any) -> None:
    push(place, instance(1))
    gathering.gather(series_id=Series.objects.get().pk)
    push(place, instance(2))
    Series.objects.update(current=None)
    Study.objects.all().delete()
    IncomingPack.objects.all().delete()

    *_, done = rebuilding.rebuild_index()

    assert done.unusable == []
    assert Study.objects.get().instance_count == 2
    assert Series.objects.get().newest_received > 0


def test_a_new_revision_while_a_request_is_written_is_noticed(place: Any) -> None:
    push(place, instance(1))
    push(place, instance(2))  # from here on by the one statement
    gathering.gather(series_id=Series.objects.get().pk)

    outcomes = push(place, instance(3))
    again = push(place, instance(1))

    assert [outcome.stored for outcome in outcomes + again] == [True, True]
    assert ReceivedInstance.objects.filter(packed_at=None).count() == 1


def test_an_instance_is_received_once_in_a_series(place: Any) -> None:
    push(place, instance(1))
    row = ReceivedInstance.objects.get()
    row.pk = None

    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


def test_the_keys_of_a_study_say_what_they_are() -> None:
    assert keys.parse_mark_key(keys.deletion_key("H1", STUDY)) == keys.MarkKey(
        "H1", STUDY, "deletion"
    )
    assert keys.parse_mark_key(keys.hold_key("H1", STUDY)) == keys.MarkKey("H1", STUDY, "hold")
    assert keys.parse_mark_key(keys.certificate_key("H1", STUDY, 1)) is None
