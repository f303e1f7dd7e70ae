"""``federated=true``: the hospitals are asked first, and the answer says which of them it speaks for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from common.accounts.tokens import create_token
from sharing import permissions, selectors
from sharing.selectors import codes
from sharing.services import federated
from tests.support.archive import make_user
from tests.support.installation import wait_until
from tests.support.patients import registered
from tests.support.pulling import Hospital, instance

pytestmark = pytest.mark.django_db(transaction=True)
STUDIES = "/dicom-web/studies"


@pytest.fixture
def reader(hospital: Hospital, settings: Any) -> Iterator[Client]:
    """A radiologist of the hospital, of whose two studies the index knows nothing."""
    settings.FEDERATED_DEADLINE_S = 2
    permissions.forget_sights()
    selectors.forget_places()
    codes.forget()
    federated._recent.clear()
    for number, name in ((1, "Zhang^San=张^三"), (2, "Li^Si=李^四")):
        hospital.origin.add(
            instance(
                1,
                study=f"1.2.{number}",
                series=f"1.2.{number}.1",
                PatientID=f"P{number}",
                name=name,
            )
        )
    user = make_user("reader", "radiologist", hospital.institution)
    yield Client(headers={"Authorization": f"Bearer {create_token(actor='test', user=user)}"})
    hospital.origin.released.set()
    wait_until(
        "no thread asks any more",
        lambda: federated.THREAD_NAME not in {each.name for each in threading.enumerate()},
        timeout_s=20,
    )


def uids(answer: Any) -> list[str]:
    return [row["0020000D"]["Value"][0] for row in answer.json()]


@pytest.mark.parametrize(
    "query",
    [
        "PatientID=P1",
        "PatientID=H1:P1",
        "PatientName=zhangsan&StudyDate=20260301",
        "StudyInstanceUID=1.2.1",
    ],
)
def test_what_the_hospital_has_is_found_and_the_answer_stays_a_plain_array(reader, query):
    before = reader.get(f"{STUDIES}?{query}")

    answer = reader.get(f"{STUDIES}?{query}&federated=true")

    assert before.json() == []
    assert uids(answer) == ["1.2.1"]
    assert answer.json()[0]["00080056"]["Value"] == ["NEARLINE"]
    assert answer["Federated-Coverage"] == "asked=1, answered=1, complete=?1"
    assert "Warning" not in answer


def test_by_a_persons_key_a_hospital_is_asked_for_the_number_that_it_gave(reader, hospital):
    known = registered(hospital.institution, "P1")

    answer = reader.get(f"{STUDIES}?PatientID={known.person.key}&federated=true")

    assert uids(answer) == ["1.2.1"]
    assert answer["Federated-Coverage"] == "asked=1, answered=1, complete=?1"


def test_one_institution_is_asked_under_its_root(reader):
    answer = reader.get("/dicom-web/at/H1/studies?PatientID=P1&federated=true")

    assert uids(answer) == ["1.2.1"]


def test_what_the_origin_matches_wrongly_is_not_answered(hospital, reader):
    hospital.origin.manners.ignore_filters = True

    assert uids(reader.get(f"{STUDIES}?PatientID=P1&federated=true")) == ["1.2.1"]


def test_a_hospital_that_fails_is_named_with_why_and_since_when_its_list_is_old(hospital, reader):
    hospital.origin.manners.search_json = "<html>"

    answer = reader.get(f"{STUDIES}?PatientID=P1&federated=true")

    assert answer.status_code == 200
    assert answer["Federated-Coverage"] == "asked=1, answered=0, complete=?0"
    assert "The hospital H1 failed to answer (origin-answer-invalid)" in answer["Warning"]
    assert "known as of never" in answer["Warning"]


def test_the_coverage_is_linked_as_json(reader):
    answer = reader.get(f"{STUDIES}?PatientID=P1&federated=true")
    address, relation, media_type = answer["Link"].split("; ")

    coverage = reader.get(address.strip("<>")).json()

    assert (relation, media_type) == ('rel="describedby"', 'type="application/json"')
    assert coverage["hospitals"][0]["outcome"] == "answered"
    assert coverage["complete"] is True


def test_a_question_without_bounds_is_413_with_what_would_narrow_it(hospital, reader):
    answer = reader.get(f"{STUDIES}?ModalitiesInStudy=CT&federated=true")

    assert answer.status_code == 413
    assert "31 days" in answer.content.decode()
    assert hospital.origin.requests == []


def test_hospitals_are_not_asked_unless_it_is_said(hospital, reader):
    reader.get(f"{STUDIES}?PatientID=P1")
    reader.get(f"{STUDIES}?PatientID=P1&federated=false")

    assert hospital.origin.requests == []


def test_other_resources_say_that_they_ask_nobody(reader):
    answer = reader.get("/dicom-web/series?PatientID=P1&federated=true")

    assert "federated is not supported here" in answer["Warning"]


def test_neither_true_nor_false_is_refused(reader):
    assert reader.get(f"{STUDIES}?PatientID=P1&federated=yes").status_code == 400
