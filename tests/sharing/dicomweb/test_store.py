"""Store Transaction (STOW-RS, PS3.18 §10.5): what is stored, refused, answered, and found again."""

from __future__ import annotations

from typing import Any

import pytest

from common.audit.models import AuditEntry
from common.storage import object_store
from sharing.models import (
    Certificate,
    IncomingPack,
    Quarantined,
    ReceivedInstance,
    Series,
    SeriesRevision,
    Study,
)
from sharing.services import gathering
from tests.support.pulling import SERIES, STUDY, archived, instance, sha256
from tests.support.storing import (
    DICOM,
    Sender,
    failures,
    gather_all,
    multipart,
    others,
    read_back,
    referenced,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_stored_is_read_back_byte_for_byte_right_after_the_answer(sender: Sender) -> None:
    first, second = instance(1), instance(2)

    answer = sender.store(first, second)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/dicom+json"
    assert referenced(answer) == [f"{SERIES}.1", f"{SERIES}.2"]
    assert read_back(sender, 1) == first
    assert read_back(sender, 2) == second


def test_search_and_metadata_know_what_was_just_stored(sender: Sender) -> None:
    sender.store(instance(1))
    sender.store(instance(2))

    studies = sender.get(f"studies?StudyInstanceUID={STUDY}").json()
    instances = sender.get(f"studies/{STUDY}/series/{SERIES}/instances").json()
    metadata = sender.get(f"studies/{STUDY}/series/{SERIES}/metadata").json()

    assert studies[0]["00201208"]["Value"] == [2]
    assert studies[0]["00080056"]["Value"] == ["ONLINE"]
    assert len(instances) == len(metadata) == 2


def test_the_retrieve_url_of_the_answer_leads_to_the_instance(sender: Sender) -> None:
    data = instance(1)

    url = sender.store(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    answer = sender.client.get(
        url.removeprefix("http://testserver"),
        headers={**sender.headers, "accept": "application/dicom; transfer-syntax=*"},
    )

    assert url.startswith("http://testserver/dicom-web/at/near/studies/")
    assert answer.getvalue() == data


def test_slices_stored_one_by_one_end_as_one_pack_that_is_certified(sender: Sender) -> None:
    slices = [instance(number) for number in range(1, 8)]
    for data in slices:
        assert sender.store(data).status_code == 200

    gather_all()

    revision = SeriesRevision.objects.get()
    assert (revision.number, revision.instance_count) == (1, 7)
    assert revision.verified_at is not None
    assert archived() == {f"{SERIES}.{n}": sha256(data) for n, data in enumerate(slices, 1)}
    assert Study.objects.get().state == "archived"
    assert Certificate.objects.get().body["instances"] == 7
    assert read_back(sender, 3) == slices[2]


def test_an_instance_after_the_gathering_makes_the_next_revision(sender: Sender) -> None:
    sender.store(instance(1))
    gather_all()

    sender.store(instance(2))
    before = (read_back(sender, 1), read_back(sender, 2))
    gather_all()

    assert before == (instance(1), instance(2))
    assert Series.objects.get().current.number == 2
    assert Series.objects.get().instance_count == 2
    assert (read_back(sender, 1), read_back(sender, 2)) == before


def test_the_same_bytes_again_are_a_success_and_stored_once(sender: Sender) -> None:
    sender.store(instance(1))

    again = sender.store(instance(1))
    gather_all()
    packed = sender.store(instance(1))

    assert again.status_code == packed.status_code == 200
    assert ReceivedInstance.objects.count() == 1
    assert SeriesRevision.objects.count() == 1
    assert Study.objects.get().instance_count == 1


@pytest.mark.parametrize("gathered", [False, True])
def test_the_same_uid_with_other_bytes_is_refused_and_kept_in_quarantine(
    sender: Sender, gathered: bool
) -> None:
    sender.store(instance(1))
    if gathered:
        gather_all()

    answer = sender.store(instance(1, comment="other"), instance(2))

    assert answer.status_code == 202
    assert failures(answer) == {f"{SERIES}.1": 0x0111}
    assert referenced(answer) == [f"{SERIES}.2"]
    case = Quarantined.objects.get()
    assert case.reason == "conflict"
    assert object_store().get_bytes(case.object_key) == instance(1, comment="other")
    assert read_back(sender, 1) == instance(1)


def test_twice_in_one_request_with_other_bytes_the_first_stays(sender: Sender) -> None:
    answer = sender.store(instance(1), instance(1), instance(1, comment="other"))

    assert answer.status_code == 202
    assert referenced(answer) == [f"{SERIES}.1"]
    assert failures(answer) == {f"{SERIES}.1": 0x0111}
    assert read_back(sender, 1) == instance(1)


def test_an_instance_of_another_study_than_the_address_is_refused(sender: Sender) -> None:
    answer = sender.store(instance(1), study="1.2.3")

    assert answer.status_code == 409
    assert failures(answer) == {f"{SERIES}.1": 0xA900}
    assert Quarantined.objects.get().reason == "wrong-study"
    assert not Study.objects.exists()


def test_what_is_no_dicom_is_named_among_the_other_failures(sender: Sender) -> None:
    answer = sender.store(b"<html>not found</html>" * 20, instance(1))

    assert answer.status_code == 202
    assert others(answer) == [0xC000]
    assert referenced(answer) == [f"{SERIES}.1"]


def test_nothing_that_can_be_read_is_a_bad_request(sender: Sender) -> None:
    answer = sender.store(b"nothing")

    assert answer.status_code == 400
    assert others(answer) == [0xC000]


def test_a_body_that_breaks_off_keeps_what_came_whole(sender: Sender) -> None:
    body = multipart(instance(1), instance(2))

    answer = sender.post(body[:-3000])

    assert answer.status_code == 202
    assert referenced(answer) == [f"{SERIES}.1"]
    assert 0x0110 in others(answer)
    assert read_back(sender, 1) == instance(1)


def test_a_single_part_is_stored(sender: Sender) -> None:
    answer = sender.post(instance(1), content_type="application/dicom")

    assert answer.status_code == 200
    assert read_back(sender, 1) == instance(1)


@pytest.mark.parametrize(
    ("content_type", "headers", "status"),
    [
        ("text/html", {}, 415),
        ("multipart/form-data; boundary=b", {}, 415),
        ('multipart/related; type="image/jpeg"; boundary=b', {}, 415),
        (DICOM, {"content-encoding": "gzip"}, 415),
        ('multipart/related; type="application/dicom"', {}, 400),
        ('multipart/related; type="application/dicom"; boundary=other', {}, 400),
        (DICOM, {"accept": "image/png"}, 406),
        (DICOM, {"transfer-encoding": "chunked"}, 411),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_with_words(
    sender: Sender, content_type: str, headers: dict[str, str], status: int
) -> None:
    answer = sender.post(multipart(instance(1)), content_type=content_type, **headers)

    assert answer.status_code == status
    assert answer.content
    assert not Study.objects.exists()


def test_a_request_over_the_limit_is_too_large(sender: Sender, settings: Any) -> None:
    settings.STORE_MAX_BYTES = 1000

    assert sender.store(instance(1)).status_code == 413


def test_the_answer_is_xml_where_xml_is_asked_for(sender: Sender) -> None:
    answer = sender.store(instance(1), accept="application/dicom+xml")

    assert answer["Content-Type"] == "application/dicom+xml"
    assert f"{SERIES}.1".encode() in answer.content


def test_each_request_is_audited_with_its_study_and_count(sender: Sender) -> None:
    sender.store(instance(1), instance(2))

    entry = AuditEntry.objects.get(action="dicomweb.store")
    assert (entry.study_instance_uid, entry.count, entry.actor_name) == (STUDY, 2, "pacs")


def test_packed_rows_and_their_incoming_packs_go_after_an_hour(sender: Sender) -> None:
    sender.store(instance(1))
    gather_all()
    early = "2020-01-01T00:00:00Z"

    gathering.forget_packed()
    kept = IncomingPack.objects.count()
    ReceivedInstance.objects.update(packed_at=early)
    IncomingPack.objects.update(stored_at=early)
    gathering.forget_packed()

    assert kept == 1
    assert not IncomingPack.objects.exists()
    assert not list(object_store().list("incoming/"))
    assert read_back(sender, 1) == instance(1)
