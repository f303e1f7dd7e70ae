"""A hospital that does everything wrong: nothing is lost, nothing stored wrong, all reported, nothing hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.archive.verify import verify_pack
from common.dicomweb.client import DicomwebOrigin
from common.dicomweb.errors import OriginAnswerInvalid
from common.events.models import OutboxEvent
from common.storage import object_store
from hospitals.models import Endpoint
from sharing.models import Certificate, DiscoveryWindow, Quarantined, Series, Study, Transfer
from sharing.services import discovery, transfers
from tests.support.dicom_files import rows
from tests.support.hostile_origin import HostileOrigin
from tests.support.pulling import (
    SERIES,
    STUDY,
    Hospital,
    MakeHospital,
    add_all,
    archived,
    discover,
    held,
    index_of,
    instance,
    make_due,
    run_due,
    sha256,
)

pytestmark = pytest.mark.timeout(60)
COUNT = 5


@pytest.fixture(autouse=True)
def _nothing_is_ever_stored_wrong(hospital: Hospital) -> Iterator[None]:
    """Whatever happened: each archived instance is one that the hospital holds, and each pack is sound."""
    yield
    holds = {(one.sop, sha256(one.data)) for one in hospital.origin.held}
    assert set(archived(hospital.id).items()) <= holds
    for series in Series.objects.exclude(current=None).select_related("current"):
        assert verify_pack(object_store(), index_of(series.current)) == []


@pytest.fixture
def five(hospital: Hospital) -> Hospital:
    add_all(hospital.origin, (instance(number) for number in range(1, COUNT + 1)))
    return hospital


def transfer() -> Transfer:
    return Transfer.objects.get()


def endpoint(hospital: Hospital) -> Endpoint:
    return Endpoint.objects.get(institution_id=hospital.id)


def assert_whole(hospital: Hospital) -> None:
    assert archived(hospital.id) == held(hospital.origin)
    assert set(Study.objects.values_list("state", flat=True)) == {"archived"}
    assert set(Series.objects.values_list("state", flat=True)) == {"verified"}
    assert not Transfer.objects.filter(state__in=Transfer.OPEN).exists()


@pytest.mark.parametrize("word", ["drop", "end"])
def test_a_line_that_breaks_inside_an_instance_keeps_those_before_it_and_the_next_try_the_rest(
    five, word
):
    five.origin.manners.retrieve, five.origin.manners.at_part = word, 2
    five.origin.manners.times = 1

    five.pull()

    assert archived() == held(five.origin, f"{SERIES}.1", f"{SERIES}.2")
    assert (transfer().state, transfer().error_code) == ("waiting", "incomplete")
    assert "3 are not here" in transfer().error_text
    assert endpoint(five).last_error_code == "origin-cut-off"
    assert Study.objects.get().state == "incomplete"
    cut = Quarantined.objects.get()
    assert (cut.reason, cut.state) == ("truncated", "open")

    make_due(five.id)
    run_due(five.id)

    assert_whole(five)
    assert Series.objects.get().current.number == 2
    assert Quarantined.objects.get().state == "settled"


@pytest.mark.django_db(transaction=True)  # the lease is renewed from a thread of its own
@pytest.mark.parametrize("word", ["stall", "trickle"])
def test_a_hospital_that_stops_in_the_middle_is_given_up_in_time_and_asked_again(five, word):
    five.origin.manners.retrieve, five.origin.manners.at_part = word, 3
    five.origin.manners.times = 1
    began = time.monotonic()

    five.pull()

    assert time.monotonic() - began < 15
    assert len(archived()) == 3
    assert transfer().state == "waiting"
    assert endpoint(five).last_error_code == "origin-timeout"

    make_due(five.id)
    run_due(five.id)

    assert_whole(five)


@pytest.mark.django_db(transaction=True)
def test_headers_that_trickle_do_not_hold_a_worker(five):
    discover(five.id)
    five.origin.manners.slow_header_s = 0.3
    began = time.monotonic()

    run_due(five.id)

    assert time.monotonic() - began < 15
    assert (transfer().state, transfer().error_code) == ("waiting", "origin-timeout")


def test_a_hospital_that_counts_more_than_it_has_is_incomplete_and_visible(five):
    five.origin.manners.lie = 2

    five.pull()

    assert archived() == held(five.origin)
    assert Study.objects.get().state == "incomplete"
    assert Series.objects.get().state == "incomplete"
    assert Series.objects.get().listed_instances == COUNT + 2
    assert (transfer().state, transfer().error_code) == ("waiting", "incomplete")
    assert not Certificate.objects.exists()


def test_a_hospital_that_lists_instances_it_does_not_have_is_incomplete_and_visible(five):
    five.origin.manners.list_extra = 3

    five.pull()
    make_due(five.id)
    run_due(five.id)

    assert archived() == held(five.origin)
    assert (transfer().state, transfer().error_code) == ("waiting", "incomplete")
    assert "lists 8 instances; 3 are not here" in transfer().error_text


def test_a_hospital_that_counts_fewer_than_it_has_loses_nothing(five):
    five.origin.manners.lie = -3

    five.pull()

    assert_whole(five)
    assert Certificate.objects.get().body["instances"] == COUNT


@pytest.mark.parametrize("manner", ["ignore_offset", "ignore_limit", "ignore_filters"])
def test_a_search_that_ignores_what_it_is_asked_does_not_loop_us(five, manner):
    add_all(five.origin, (instance(1, study=f"1.2.9.{n}", series=f"1.2.9.{n}.1") for n in range(4)))
    setattr(five.origin.manners, manner, True)

    five.pull()

    assert_whole(five)
    assert Study.objects.count() == 5
    assert len(five.origin.requests) < 300


def test_more_studies_than_one_answer_holds_are_found_though_the_offset_is_ignored(
    hospital, monkeypatch
):
    monkeypatch.setattr(discovery, "PAGE", 3)
    days = ("20250110", "20250111", "20250112", "20250113", "20260105")
    add_all(
        hospital.origin,
        (
            instance(1, study=f"1.2.9.{n}", series=f"1.2.9.{n}.1", study_date=day)
            for n, day in enumerate(days)
        ),
    )
    hospital.origin.manners.ignore_offset = True

    hospital.pull()

    assert_whole(hospital)
    assert Study.objects.count() == len(days)


def test_one_day_with_more_studies_than_one_answer_holds_is_said_in_words(hospital, monkeypatch):
    monkeypatch.setattr(discovery, "PAGE", 3)
    add_all(
        hospital.origin,
        (instance(1, study=f"1.2.9.{n}", series=f"1.2.9.{n}.1") for n in range(5)),
    )
    hospital.origin.manners.ignore_offset = True

    hospital.pull()

    failed = DiscoveryWindow.objects.get(state="failed")
    assert failed.error_code == "paging-unsupported"
    assert "2026-03-01" in failed.error_text
    assert len(archived()) == 3


def test_an_answer_compressed_unasked_is_stored_as_the_hospital_holds_it(five):
    five.origin.manners.gzip = True

    five.pull()

    assert_whole(five)


def test_one_bare_part_instead_of_multipart_is_an_instance_and_the_others_come_singly(five):
    five.origin.manners.retrieve = "bare"

    five.pull()

    assert archived() == held(five.origin, f"{SERIES}.1")
    assert transfer().error_code == "incomplete"

    make_due(five.id)
    run_due(five.id)

    assert_whole(five)


def test_a_missing_closing_delimiter_loses_nothing_when_all_listed_instances_came(five):
    five.origin.manners.retrieve = "no-closing"

    five.pull()
    for _ in range(2):
        make_due(five.id)
        run_due(five.id)

    # Where the part's own length says that it is whole, it is; the last one may have to come singly.
    assert len(archived()) >= COUNT - 1
    assert endpoint(five).last_error_code == "origin-cut-off"
    five.origin.manners.retrieve = "well"
    make_due(five.id)
    run_due(five.id)
    assert_whole(five)


@pytest.mark.parametrize("word", ["wrong-boundary", "html"])
def test_an_answer_that_is_no_dicomweb_answer_is_an_error_with_its_name(five, word):
    five.origin.manners.retrieve = word

    five.pull()

    assert archived() == {}
    assert (transfer().state, transfer().error_code) == ("waiting", "origin-answer-invalid")
    assert endpoint(five).last_error_code == "origin-answer-invalid"


def test_a_part_that_is_not_dicom_is_quarantined_and_the_rest_is_kept(five):
    five.origin.manners.retrieve, five.origin.manners.at_part = "not-dicom", 1
    five.origin.manners.times = 1

    five.pull()

    case = Quarantined.objects.get()
    assert case.reason == "not-dicom"
    assert object_store().get_bytes(case.object_key).startswith(b"Error: instance is on tape")
    assert len(archived()) == COUNT - 1
    assert (transfer().error_code, transfer().quarantined) == ("incomplete", 1)

    make_due(five.id)
    run_due(five.id)

    assert_whole(five)


def test_parts_that_claim_an_absurd_length_cost_neither_memory_nor_time(five):
    five.origin.manners.retrieve = "absurd-length"

    five.pull()

    assert set(archived().items()) <= set(held(five.origin).items())
    assert transfer().state in ("done", "waiting")
    five.origin.manners.retrieve = "well"
    make_due(five.id)
    run_due(five.id)
    assert_whole(five)


def test_instances_of_another_study_are_quarantined_and_never_enter_this_one(five):
    five.origin.add(instance(1, study="1.2.9.9", series="1.2.9.9.1"))
    five.origin.manners.retrieve = "wrong-study"
    discover(five.id)

    run_due(five.id)

    assert archived() == {}
    assert set(Quarantined.objects.values_list("reason", flat=True)) == {"wrong-study"}
    assert set(Transfer.objects.values_list("error_code", flat=True)) == {"nothing-retrieved"}
    case = Quarantined.objects.get(study_instance_uid=STUDY)
    assert case.sop_instance_uid == "1.2.9.9.1.1"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "origin-failed"),
        (206, "origin-answer-invalid"),
        (401, "origin-refused"),
        (404, "origin-not-found"),
        (429, "origin-busy"),
        (503, "origin-busy"),
    ],
)
def test_a_status_that_is_no_success_is_a_typed_error_and_the_next_try_is_whole(five, status, code):
    five.origin.manners.status, five.origin.manners.only = status, "retrieve"

    five.pull()

    assert archived() == {}
    assert transfer().error_code == code
    assert transfer().state == (
        "failed" if code in ("origin-refused", "origin-not-found") else "waiting"
    )
    assert endpoint(five).last_error_code == code
    assert str(status) in endpoint(five).last_error_text or code == "origin-not-found"

    five.origin.manners.status = 0
    make_due(five.id)
    if transfer().state == "failed":
        transfers.retry_transfer(actor="test", transfer_id=transfer().pk)
    run_due(five.id)

    assert_whole(five)


def test_what_the_hospital_asks_to_wait_is_waited(five):
    five.origin.manners.status, five.origin.manners.only = 429, "retrieve"
    five.origin.manners.retry_after = "600"

    five.pull()

    waits_s = (transfer().not_before - Study.objects.get().found_at).total_seconds()
    assert 590 < waits_s < 700
    assert endpoint(five).open_until is not None


@pytest.mark.parametrize("status", [500, 206, 401, 429])
def test_a_search_that_fails_is_written_into_its_window(five, status):
    five.origin.manners.status = status

    (window,) = discover(five.id)

    assert window.error_code.startswith("origin-")
    assert window.state == ("failed" if status == 401 else "open")
    assert endpoint(five).last_error_code == window.error_code
    assert not Study.objects.exists()


@pytest.mark.parametrize(
    "answer",
    ["<html>log in</html>", "{}", '[1, "two"]', "[{}]", "[" * 100_000],
    ids=["html", "object", "not-data-sets", "nameless", "deep"],
)
def test_a_search_that_answers_no_data_sets_is_written_into_its_window(five, answer):
    five.origin.manners.search_json = answer

    (window,) = discover(five.id)

    assert window.error_code == "origin-answer-invalid"
    assert not Study.objects.exists()


def test_attributes_of_a_wrong_form_in_a_search_do_no_harm(five):
    five.origin.manners.search_json = (
        '[{"0020000D": {"vr": "UI", "Value": ["1.2.77"]}, "00100010": {"vr": "PN", "Value": "x"},'
        ' "00100020": {"vr": "LO", "Value": ["a\\u0000b\\ud800c"]}, "00080020": 7,'
        ' "00100040": {"vr": "CS", "Value": [null, {"a": [1]}]}, "00201208": {"Value": ["many"]}},'
        ' {"0020000D": {"vr": "UI", "Value": ["../../etc"]}}, {}]'
    )

    discover(five.id, index_only=True)

    study = Study.objects.get()
    assert (study.study_instance_uid, study.patient_id) == ("1.2.77", "ab?c")
    assert (study.study_date, study.listed_instances) == (None, None)


def test_a_name_in_gb18030_in_a_search_answer_is_read(hospital):
    hospital.origin.add(instance(name="张^三"))
    hospital.origin.manners.charset = "gb18030"

    discover(hospital.id, index_only=True)

    assert Study.objects.get().patient_name == "张^三"


@pytest.mark.parametrize("row", rows("malformed"), ids=lambda row: row.name)
def test_a_malformed_file_among_good_ones_harms_nobody(five, row):
    five.origin.add(row.path.read_bytes(), study=STUDY, series=SERIES, sop="1.2.826.666")

    five.pull()

    good = held(five.origin, *(f"{SERIES}.{number}" for number in range(1, COUNT + 1)))
    assert archived() == good
    case = Quarantined.objects.get()
    assert case.sha256 == sha256(row.path.read_bytes())
    assert sha256(object_store().get_bytes(case.object_key)) == case.sha256
    assert case.text
    assert (transfer().state, transfer().error_code) == ("waiting", "incomplete")
    assert transfer().quarantined == 1


def test_a_uid_repeated_with_other_bytes_opens_a_case_and_the_first_stays(five):
    first, other = instance(1), instance(1, comment="edited")
    five.origin.add(other)

    five.pull()

    assert archived()[f"{SERIES}.1"] == sha256(first)
    case = Quarantined.objects.get()
    assert (case.reason, case.sop_instance_uid) == ("conflict", f"{SERIES}.1")
    assert object_store().get_bytes(case.object_key) == other
    assert Study.objects.get().state == "archived"
    assert transfer().quarantined == 1
    announced = OutboxEvent.objects.get(type__endswith="InstanceConflictFound")
    assert announced.payload["quarantined_id"] == case.pk


def test_a_series_whose_answer_breaks_every_time_comes_instance_by_instance(five, monkeypatch):
    @contextmanager
    def never_a_multipart(self, **uids):
        raise OriginAnswerInvalid
        yield

    monkeypatch.setattr(DicomwebOrigin, "retrieve_series", never_a_multipart)

    five.pull()
    assert archived() == {}

    for _ in range(2):
        make_due(five.id)
        run_due(five.id)

    assert_whole(five)


def test_one_study_that_the_hospital_cannot_answer_for_does_not_hide_the_others(five):
    add_all(five.origin, (instance(1, study=f"1.2.9.{n}", series=f"1.2.9.{n}.1") for n in range(3)))
    bad = five.origin._server.RequestHandlerClass
    search = bad._search

    def broken_for_one(self, path, query, manners):
        if path.startswith(f"/studies/{STUDY}/series"):
            self._send(500, "text/plain", b"no")
        else:
            search(self, path, query, manners)

    bad._search = broken_for_one
    try:
        five.pull()
    finally:
        bad._search = search

    assert Study.objects.filter(state="archived").count() == 3
    window = DiscoveryWindow.objects.get()
    assert (window.state, window.error_code, window.offset) == ("open", "origin-failed", 0)

    make_due(five.id)
    discovery.run_window(window_id=window.pk)
    run_due(five.id)

    assert_whole(five)


def test_after_three_failures_the_circuit_opens_and_another_hospital_is_served(
    five, make_hospital: MakeHospital
):
    add_all(five.origin, (instance(1, study=f"1.2.9.{n}", series=f"1.2.9.{n}.1") for n in range(6)))
    with HostileOrigin() as second:
        second.add(instance(1, study="1.2.8", series="1.2.8.1"))
        other = make_hospital("H2", base_url=second.url)
        discover(five.id)
        discover(other.pk)
        five.origin.manners.status = 500
        run_due(five.id)
        asked = len(five.origin.requests)

        assert endpoint(five).open_until is not None
        make_the_rest_due = Transfer.objects.filter(institution_id=five.id)
        make_the_rest_due.update(not_before="2020-01-01T00:00:00Z")
        assert run_due(five.id) == []
        assert len(five.origin.requests) == asked
        run_due(other.pk)

        assert archived(other.pk) == held(second)
