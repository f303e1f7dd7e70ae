"""Stores and deletions that meet: in one request, after a crash, and at the same moment."""

from __future__ import annotations

import threading
from copy import copy
from datetime import timedelta
from io import StringIO
from itertools import count
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from common.storage import object_store
from sharing.models import Deletion, IncomingPack, ReceivedInstance, Study
from sharing.services import deleting, gathering, rebuilding, sweeping
from tests.sharing.dicomweb.test_delete import delete, purge_now
from tests.support.pulling import SERIES, STUDY, instance
from tests.support.storing import Sender, failures, read_back, referenced

pytestmark = pytest.mark.django_db(transaction=True)

OTHER, OTHER_SERIES = f"{STUDY}.77", f"{STUDY}.77.1"


def other(number: int = 1) -> bytes:
    return instance(number, study=OTHER, series=OTHER_SERIES)


def incoming() -> list[str]:
    return [stat.key for stat in object_store().list("incoming/")]


def forget_rows() -> None:
    """As if the request had died before its rows were written."""
    ReceivedInstance.objects.all().delete()
    IncomingPack.objects.all().delete()
    Study.objects.all().delete()


def sweep() -> sweeping.Swept:
    return sweeping.sweep(older_than=timedelta(0))


# -- several studies in one request ------------------------------------------------------------------


def test_a_deleted_study_does_not_keep_the_others_of_its_request_from_being_stored(
    sender: Sender,
) -> None:
    sender.store(instance(1))
    delete(sender)

    answer = sender.store(instance(2), other(1), other(2))

    assert answer.status_code == 202
    assert failures(answer) == {f"{SERIES}.2": 0x0124}
    assert referenced(answer) == [f"{OTHER_SERIES}.1", f"{OTHER_SERIES}.2"]
    assert [study.study_instance_uid for study in Study.objects.all()] == [OTHER]


def test_a_lost_index_gets_the_other_studies_of_such_a_request_back(sender: Sender) -> None:
    sender.store(instance(1))
    delete(sender)
    sender.store(instance(2), other(1))
    forget_rows()

    *_, done = rebuilding.rebuild_index()

    assert done.received == 1
    assert [study.study_instance_uid for study in Study.objects.all()] == [OTHER]


# -- after a crash -----------------------------------------------------------------------------------


@pytest.fixture
def unanswered(sender: Sender) -> str:
    """A pack of a request that died, of a study that was stored and deleted then."""
    sender.store(instance(2), other(1))
    (key,) = incoming()
    forget_rows()
    sender.store(instance(1))
    delete(sender)
    for each in incoming():
        if each != key:
            object_store().delete(each)
    return key


def test_a_pack_from_before_a_deletion_is_not_adopted_after_the_purge(
    sender: Sender, unanswered: str
) -> None:
    purge_now()

    sweep()

    assert Deletion.objects.get().lifted_at is None
    assert [study.study_instance_uid for study in Study.objects.all()] == [OTHER]


def test_a_pack_of_nothing_but_a_purged_study_goes(sender: Sender) -> None:
    sender.store(instance(2))
    forget_rows()
    sender.store(instance(1))
    delete(sender)
    IncomingPack.objects.all().delete()

    within = (sweep(), incoming())
    purge_now()
    sweep()

    assert within[1]
    assert incoming() == []
    assert not Study.objects.exists()
    assert Deletion.objects.get().lifted_at is None


def test_a_pack_from_after_the_purge_is_adopted(sender: Sender) -> None:
    sender.store(instance(1))
    delete(sender)
    purge_now()
    sender.store(instance(2))
    forget_rows()
    # The deletion as it was before: the request's rows were never committed.
    Deletion.objects.update(lifted_at=None, lifted_by="", kept_at=timezone.now())

    sweep()

    assert read_back(sender, 2) == instance(2)


# -- at the same moment ------------------------------------------------------------------------------


def test_a_study_into_which_somebody_stores_all_the_time_can_be_deleted(
    sender: Sender, monkeypatch: Any
) -> None:
    sender.store(instance(1))
    gather, numbers = gathering.gather, count(2)

    def with_one_more(*, series_id: int) -> bool:
        gathered = gather(series_id=series_id)
        assert sender.store(instance(next(numbers))).status_code == 200
        return gathered

    monkeypatch.setattr(gathering, "gather", with_one_more)

    assert delete(sender).status_code == 202
    call_command("deletion", "undo", "near", STUDY, stdout=StringIO())

    assert Study.objects.get().instance_count == 2
    assert read_back(sender, 2) == instance(2)


def test_what_was_answered_in_the_moment_of_a_deletion_comes_back_with_the_undo(
    sender: Sender,
) -> None:
    sender.store(instance(1))
    stored, refused, started = [1], threading.Event(), threading.Event()

    def store_on() -> None:
        other_sender = copy(sender)
        other_sender.client = Client()
        for number in range(2, 500):
            answer = other_sender.store(instance(number))
            if answer.status_code != 200:
                assert failures(answer) == {f"{SERIES}.{number}": 0x0124}
                refused.set()
                break
            stored.append(number)
            started.set()
        connection.close()

    thread = threading.Thread(target=store_on)
    thread.start()
    started.wait(10)
    answer = delete(sender)
    thread.join(60)
    call_command("deletion", "undo", "near", STUDY, stdout=StringIO())

    assert answer.status_code == 202
    assert refused.is_set()
    assert Study.objects.get().instance_count == len(stored)
    assert all(read_back(sender, number) == instance(number) for number in stored)


def test_what_is_too_much_to_be_packed_while_senders_wait_is_a_conflict(
    sender: Sender, monkeypatch: Any
) -> None:
    sender.store(instance(1), instance(2))
    monkeypatch.setattr(gathering, "gather", lambda *, series_id: False)
    monkeypatch.setattr(deleting, "_MOST_LEFT", 1)

    assert delete(sender).status_code == 409
    assert read_back(sender, 2) == instance(2)
