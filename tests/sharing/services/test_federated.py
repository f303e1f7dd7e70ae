"""The hospitals asked now: who answered, who did not and why, and nothing that was not asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from common.audit.models import AuditEntry
from common.errors import NotFound
from hospitals.models import Consortium, Endpoint, Institution
from sharing import permissions, selectors
from sharing.domain.coverage import Outcome
from sharing.domain.question import Question
from sharing.errors import QuestionUnbounded
from sharing.models import Study
from sharing.services import federated
from tests.support.archive import make_user
from tests.support.hostile_origin import HostileOrigin
from tests.support.installation import wait_until
from tests.support.pulling import MakeHospital, instance

pytestmark = pytest.mark.django_db(transaction=True)
NAME, NUMBER, DATE, UID = "00100010", "00100020", "00080020", "0020000D"


class Town:
    """Hospitals of one consortium and a radiologist of the first."""

    def __init__(self, make_hospital: MakeHospital, stack: ExitStack) -> None:
        self._make, self._stack = make_hospital, stack
        self.origins: dict[str, HostileOrigin] = {}
        self.hospitals: dict[str, Institution] = {}
        self.reader: Any = None

    def add(self, code: str, *studies: tuple[str, str, str]) -> HostileOrigin:
        """A hospital with these studies: (uid, patient ID, name)."""
        origin = self._stack.enter_context(HostileOrigin())
        for uid, number, name in studies:
            origin.add(
                instance(
                    1, study=uid, series=f"{uid}.1", sop=f"{uid}.1.1", name=name, PatientID=number
                )
            )
        hospital = self._make(code, base_url=origin.url)
        consortium, _ = Consortium.objects.get_or_create(
            code="tight", defaults={"name": "医联体", "region": hospital.region}
        )
        Institution.objects.filter(pk=hospital.pk).update(consortium=consortium)
        self.origins[code], self.hospitals[code] = origin, hospital
        if self.reader is None:
            self.reader = make_user("reader", "radiologist", hospital)
        permissions.forget_sights()
        return origin

    def ask(self, code: str = "", **more: Any) -> federated.Coverage:
        keys = more.pop("keys", {NUMBER: "P1"})
        federated._recent.clear()
        return federated.ask(
            actor=self.reader, question=Question(keys, **more), institution_code=code
        )


@pytest.fixture
def town(archive: Any, make_hospital: MakeHospital, settings: Any) -> Iterator[Town]:
    settings.FEDERATED_DEADLINE_S = 2
    permissions.forget_sights()
    with ExitStack() as stack:
        town = Town(make_hospital, stack)
        yield town
        for origin in town.origins.values():
            origin.released.set()
        wait_until(
            "no thread asks any more",
            lambda: federated.THREAD_NAME not in {each.name for each in threading.enumerate()},
            timeout_s=20,
        )


def outcomes(coverage: federated.Coverage) -> dict[str, str]:
    return {each.code: str(each.outcome) for each in coverage.hospitals}


def indexed() -> set[str]:
    return set(Study.objects.values_list("study_instance_uid", flat=True))


def test_new_studies_of_all_hospitals_come_into_the_index_as_indexed(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    town.add("H2", ("1.2.2", "P1", "Zhang^San"))

    coverage = town.ask()

    assert outcomes(coverage) == {"H1": "answered", "H2": "answered"}
    assert coverage.complete
    assert [each.new for each in coverage.hospitals] == [1, 1]
    assert indexed() == {"1.2.1", "1.2.2"}
    assert set(Study.objects.values_list("state", flat=True)) == {"indexed"}


def test_what_an_origin_matches_wrongly_stays_out(town):
    origin = town.add("H1", ("1.2.1", "P1", "Zhang^San"), ("1.2.9", "P9", "Li^Si"))
    origin.manners.ignore_filters = (
        True  # a stock server and a folder do so with what they do not know
    )

    (answer,) = town.ask().hospitals

    assert (answer.received, answer.results, answer.new) == (2, 1, 1)
    assert indexed() == {"1.2.1"}


def test_rows_that_are_there_are_not_harmed(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    study = Study.objects.create(
        institution=town.hospitals["H1"],
        study_instance_uid="1.2.1",
        patient_id="P1",
        patient_name="张^三",
        state="archived",
        found_at=timezone.now(),
        listed_instances=7,
    )

    (answer,) = town.ask().hospitals

    assert (answer.results, answer.new) == (1, 0)
    kept = Study.objects.get()
    assert (kept.pk, kept.patient_name, kept.listed_instances) == (study.pk, "张^三", 7)


def test_a_hospital_that_never_answers_is_late_and_the_others_are_heard(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    town.add("H2", ("1.2.2", "P1", "Zhang^San")).manners.slow_header_s = 0.3
    begun = time.monotonic()

    coverage = town.ask()

    assert time.monotonic() - begun < 4
    assert outcomes(coverage) == {"H1": "answered", "H2": "late"}
    assert not coverage.complete
    assert [each.code for each in coverage.missing] == ["H2"]
    assert indexed() == {"1.2.1"}


def test_a_hospital_that_answers_rubbish_has_failed(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    town.add("H2").manners.search_json = "<html>log in</html>"
    town.add("H3").manners.search_json = '{"not": "a list"}'
    town.add("H4").manners.search_json = json.dumps([{"0020000D": {"vr": "UI", "Value": ["../x"]}}])

    coverage = town.ask(keys={UID: "1.2.1"})

    assert outcomes(coverage) == {
        "H1": "answered",
        "H2": "failed",
        "H3": "failed",
        "H4": "failed",
    }
    assert {each.reason for each in coverage.hospitals[1:]} == {"origin-answer-invalid"}
    assert indexed() == {"1.2.1"}


def test_of_ten_thousand_results_those_that_fit_are_taken(town):
    rows = [
        {
            "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
            "00100020": {"vr": "LO", "Value": ["P1" if number == 9_000 else f"X{number}"]},
        }
        for number in range(1, 10_001)
    ]
    town.add("H1").manners.search_json = json.dumps(rows)

    (answer,) = town.ask().hospitals

    assert (answer.outcome, answer.received, answer.results) == (Outcome.ANSWERED, 10_000, 1)
    assert indexed() == {"1.2.9000"}


def test_of_more_results_than_are_taken_at_once_the_rest_is_said_to_be_missing(town):
    day = {"vr": "DA", "Value": ["20260301"]}
    rows = [
        {"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}, "00080020": day}
        for number in range(1, 10_001)
    ]
    town.add("H1").manners.search_json = json.dumps(rows)

    coverage = town.ask(keys={DATE: "20260301"})

    assert outcomes(coverage) == {"H1": "cut"}
    assert not coverage.complete
    assert Study.objects.count() == federated.MOST_RESULTS


def test_a_hospital_that_pages_is_asked_for_its_pages(town):
    studies = [(f"1.2.{number}", "P1", "Zhang^San") for number in range(1, 26)]
    town.add("H1", *studies).manners.max_page = 10

    (answer,) = town.ask(keys={DATE: "20260301"}).hospitals

    assert (answer.outcome, answer.results) == (Outcome.ANSWERED, 25)


def test_a_hospital_that_sends_its_first_page_again_and_again_may_have_more(town):
    manners = town.add(
        "H1", *[(f"1.2.{number}", "P1", "Zhang^San") for number in range(1, 26)]
    ).manners
    manners.max_page, manners.ignore_offset = 10, True

    (answer,) = town.ask(keys={DATE: "20260301"}).hospitals

    assert (answer.outcome, answer.results) == (Outcome.CUT, 10)


def test_a_hospital_that_is_left_alone_is_not_asked(town):
    origin = town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    Endpoint.objects.update(open_until=timezone.now() + timedelta(minutes=5))

    (answer,) = town.ask().hospitals

    assert (answer.outcome, answer.reason) == (Outcome.NOT_ASKED, "hospital-away")
    assert origin.requests == []


def test_failures_open_the_circuit_as_those_of_pulls_do(town):
    town.add("H1").manners.status = 500

    for _ in range(3):
        town.ask()

    assert Endpoint.objects.get().open_until is not None
    (answer,) = town.ask().hospitals
    assert answer.outcome == Outcome.NOT_ASKED


def test_only_hospitals_whose_studies_the_reader_may_see_are_asked(town, make_hospital):
    town.add("H1")
    far = HostileOrigin()
    with far:
        make_hospital("FAR", base_url=far.url)
        coverage = town.ask()

    assert outcomes(coverage) == {"H1": "answered"}
    assert far.requests == []


def test_an_institution_that_is_named_is_asked_alone(town):
    first, second = town.add("H1"), town.add("H2")

    assert outcomes(town.ask("H2")) == {"H2": "answered"}
    assert first.requests == []
    assert second.requests != []


def test_a_number_with_its_institution_goes_to_that_institution_without_it(town):
    first, second = town.add("H1", ("1.2.1", "P1", "A^B")), town.add("H2", ("1.2.2", "P1", "C^D"))

    coverage = town.ask(keys={NUMBER: "H2:P1"}, namespaced=True)

    assert outcomes(coverage) == {"H2": "answered"}
    assert first.requests == []
    assert second.requests[0][1]["PatientID"] == "P1"
    assert indexed() == {"1.2.2"}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {NUMBER: "*"},
        {NUMBER: "P*"},
        {NAME: "*"},
        {NAME: "z*"},
        {DATE: "20260101-"},
        {DATE: "20260101-20260301"},
        {"00080061": "CT"},
        {NUMBER: '""'},
    ],
    ids=str,
)
def test_a_question_that_everything_answers_is_refused_before_anybody_is_asked(town, keys):
    origin = town.add("H1")

    with pytest.raises(QuestionUnbounded):
        town.ask(keys=keys)

    assert origin.requests == []


def test_a_name_in_pinyin_is_matched_here_when_the_date_narrows_the_question(town):
    origin = town.add("H1", ("1.2.1", "P1", "Zhang^San=张^三"), ("1.2.2", "P2", "Li^Si=李^四"))

    (answer,) = town.ask(keys={NAME: "zhangsan", DATE: "20260301"}).hospitals

    assert "PatientName" not in origin.requests[0][1]
    assert (answer.received, answer.results) == (2, 1)
    assert indexed() == {"1.2.1"}


def test_the_next_page_of_the_same_search_asks_nobody_again(town):
    origin = town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    first = town.ask()
    count = len(origin.requests)

    again = federated.ask(actor=town.reader, question=Question({NUMBER: "P1"}))

    assert again is first
    assert len(origin.requests) == count


def test_the_coverage_can_be_read_again_by_the_one_who_asked_and_holds_no_patient(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    coverage = town.ask()

    assert federated.coverage_of(actor=town.reader, coverage_id=coverage.id) == coverage
    assert "P1" not in json.dumps(coverage.to_json())
    with pytest.raises(NotFound):
        federated.coverage_of(actor=make_user("other"), coverage_id=coverage.id)


def test_the_audit_says_that_hospitals_were_asked_and_not_for_whom(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))

    town.ask()

    entry = AuditEntry.objects.get(action="study.ask-hospitals")
    assert entry.detail == {"hospitals": 1, "answered": 1, "new": 1}
    assert "P1" not in json.dumps([entry.detail, entry.object_id])


def test_more_hospitals_than_connections_are_asked_one_after_another(town, settings):
    settings.FEDERATED_CONNECTIONS = 2
    for number in range(5):
        town.add(f"H{number}", (f"1.2.{number}", "P1", "Zhang^San"))

    assert town.ask().complete


def test_what_was_found_can_be_read_on_demand(town):
    town.add("H1", ("1.2.1", "P1", "Zhang^San"))
    town.ask()
    selectors.forget_places()

    place = selectors.place_study(actor=town.reader, study_instance_uid="1.2.1")

    assert place.state == "indexed"
