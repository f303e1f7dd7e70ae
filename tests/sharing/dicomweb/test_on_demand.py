"""Studies that are only in the index, through the DICOMweb interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.test import Client

from common.accounts.tokens import create_token
from common.dicomweb.errors import MalformedMultipart
from common.dicomweb.media_types import parse_media_type
from common.dicomweb.multipart import iter_parts
from hospitals.models import Endpoint
from sharing import permissions, selectors
from sharing.errors import ReadBrokenOff
from sharing.models import Series, Study, Transfer
from sharing.services import transfers
from sharing.services.on_demand.fetches import THREAD_NAME
from tests.support.archive import make_user
from tests.support.installation import wait_until
from tests.support.pulling import STUDY, Hospital, discover, held, instance, run_due, sha256

pytestmark = pytest.mark.django_db(transaction=True)
A, B = f"{STUDY}.1", f"{STUDY}.2"
ROOT = "/dicom-web"
ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture
def token(hospital: Hospital, settings: Any) -> Iterator[str]:
    """Of a radiologist of the hospital, which lists two series that are not here."""
    settings.ON_DEMAND_WAIT_S = 15
    permissions.forget_sights()
    selectors.forget_places()
    for series, count in ((A, 3), (B, 2)):
        for number in range(1, count + 1):
            hospital.origin.add(
                instance(number, series=series, SeriesNumber=1 if series == A else 2)
            )
    discover(hospital.id, index_only=True)
    hospital.origin.requests.clear()
    yield create_token(actor="test", user=make_user("reader", "radiologist", hospital.institution))
    hospital.origin.released.set()
    wait_until(
        "no fetch runs",
        lambda: not {THREAD_NAME, "lease"} & {each.name for each in threading.enumerate()},
        timeout_s=20,
    )


@pytest.fixture
def reader(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


def parts(answer: Any) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of a multipart answer, read as it comes."""
    media_type = parse_media_type(answer["Content-Type"])
    assert media_type is not None
    found = {}
    for part in iter_parts(iter(answer), boundary=media_type.boundary):
        data = b"".join(part.chunks())
        found[part.headers["content-location"].rpartition("/")[2]] = sha256(data)
    return found


def get(reader: Client, path: str, accept: str = ANY) -> Any:
    selectors.forget_places()
    return reader.get(f"{ROOT}/studies/{STUDY}{path}", headers={"Accept": accept})


def test_the_search_shows_it_as_nearline(reader):
    (row,) = reader.get(f"{ROOT}/studies").json()

    assert row["00080056"]["Value"] == ["NEARLINE"]


def test_a_study_is_given_byte_for_byte_while_it_is_archived(hospital, reader):
    answer = get(reader, "")

    assert answer.status_code == 200
    assert parts(answer) == held(hospital.origin)
    wait_until("archived", lambda: Study.objects.get().state == "archived", timeout_s=5)


def test_a_series_is_given_while_it_is_archived(hospital, reader):
    assert parts(get(reader, f"/series/{B}")) == held(hospital.origin, f"{B}.1", f"{B}.2")


def test_a_partly_archived_study_is_given_whole(hospital, reader):
    parts(get(reader, f"/series/{B}"))

    assert parts(get(reader, "")) == held(hospital.origin)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/metadata", "application/dicom+json"),
        (f"/series/{A}/metadata", "application/dicom+json"),
        (f"/series/{A}/instances/{A}.1/metadata", "application/dicom+json"),
        (f"/series/{A}/instances/{A}.1", ANY),
        (f"/series/{A}/instances/{A}.1/frames/1", "*/*"),
        (f"/series/{A}/instances/{A}.1/rendered", "image/jpeg"),
        (f"/series/{A}/instances/{A}.1/thumbnail", "image/jpeg"),
    ],
    ids=str,
)
def test_other_resources_wait_for_their_series(reader, path, accept):
    assert get(reader, path, accept).status_code == 200


def test_metadata_of_the_study_are_those_of_every_series(reader):
    answer = get(reader, "/metadata", "application/dicom+json")

    assert len(b"".join(answer.streaming_content).split(b'"00080018"')) == 6


@pytest.mark.parametrize("path", ["", "/metadata", f"/series/{A}", f"/series/{A}/metadata"])
def test_a_hospital_that_is_away_gives_503_with_when_and_where_to_ask(hospital, reader, path):
    hospital.origin.manners.status = 503
    hospital.origin.manners.retry_after = "40"

    answer = get(reader, path)

    assert answer.status_code == 503
    assert answer["Retry-After"] == "40"
    progress = f"/api/v1/studies/H1/{STUDY}/retrieval"
    assert answer["Link"] == f'<{progress}>; rel="status"; type="application/json"'
    assert progress in answer.content.decode()
    assert reader.get(progress).json()["complete"] is False


def test_the_cap_of_the_hospital_gives_503(hospital, reader, settings):
    get(reader, f"/series/{B}/metadata")
    Endpoint.objects.update(concurrency=1)
    other = Series.objects.create(study=Study.objects.get(), series_instance_uid="1.2.3")
    transfers.request_transfers(
        series_ids=[other.pk], institution_id=hospital.id, lane=Transfer.Lane.BACKFILL
    )
    assert transfers.claim(transfer_id=Transfer.objects.latest("pk").pk, worker="busy")

    settings.ON_DEMAND_WAIT_S = 1
    answer = get(reader, f"/series/{A}")

    assert answer.status_code == 503
    assert "as many series at once" in answer.content.decode()
    Transfer.objects.filter(series=other).update(state="done", lease_until=None)


def test_a_hospital_that_fails_in_the_middle_gives_no_closing_boundary(hospital, reader):
    hospital.origin.manners.retrieve, hospital.origin.manners.at_part = "stall", 1
    answer = get(reader, f"/series/{A}")
    read: list[bytes] = []

    def take() -> None:
        read.extend(answer.streaming_content)

    with pytest.raises(ReadBrokenOff):
        take()
    answer.close()
    media_type = parse_media_type(answer["Content-Type"])
    with pytest.raises(MalformedMultipart):
        [b"".join(part.chunks()) for part in iter_parts(read, boundary=media_type.boundary)]


def test_what_the_hospital_lists_and_never_sends_is_said_in_a_warning(hospital, reader):
    parts(get(reader, f"/series/{A}"))
    for number in (1, 2):
        hospital.origin.remove(f"{B}.{number}")
    assert get(reader, f"/series/{B}").status_code == 503

    answer = get(reader, "")

    assert answer.status_code == 200
    assert f"The series {B} is listed by the hospital, which does not send it." in answer["Warning"]
    assert len(parts(answer)) == 3


def test_a_series_with_fewer_instances_than_are_listed_says_so(hospital, reader):
    hospital.origin.manners.list_extra = 2
    get(reader, f"/series/{A}/metadata", "application/dicom+json")
    Endpoint.objects.update(open_until=None)

    answer = get(reader, f"/series/{A}/metadata", "application/dicom+json")

    assert answer.status_code == 200
    assert "2 instances of the series" in answer["Warning"]


def test_what_the_caller_may_not_see_is_never_fetched(hospital, token):
    stranger = make_user("stranger")
    client = Client(headers={"Authorization": f"Bearer {create_token(actor='t', user=stranger)}"})

    assert get(client, "").status_code == 404
    assert hospital.origin.requests == []


def test_readers_that_may_not_wait_are_told_at_once(hospital, reader, settings):
    settings.ON_DEMAND_READERS = 1
    hospital.origin.manners.retrieve, hospital.origin.manners.at_part = "stall", 1
    first = get(reader, f"/series/{A}")

    second = get(reader, f"/series/{B}")

    assert second.status_code == 503
    assert int(second["Retry-After"]) > 0
    first.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 200),
        ("/metadata", 503),
        ("/series", 503),
        ("/instances", 503),
        (f"/series/{A}", 503),
        (f"/series/{A}/instances/{A}.1/frames/1", 503),
    ],
)
def test_a_head_request_asks_no_hospital_and_takes_no_place(
    hospital, reader, settings, path, status
):
    settings.ON_DEMAND_READERS = 0

    answer = reader.head(f"{ROOT}/studies/{STUDY}{path}", headers={"Accept": "*/*"})

    assert answer.status_code == status
    assert b"".join(answer) == b""
    assert hospital.origin.requests == []
    assert not Transfer.objects.exists()
    if status == 503:
        assert answer["Retry-After"]
        assert 'rel="status"' in answer["Link"]
    else:
        assert answer["Content-Type"].startswith('multipart/related; type="application/dicom"')


def test_a_client_that_reads_over_http_sees_the_break(hospital, token, live_server):
    hospital.origin.manners.retrieve, hospital.origin.manners.at_part = "stall", 1
    answer = requests.get(
        f"{live_server.url}{ROOT}/studies/{STUDY}/series/{A}",
        headers={"Authorization": f"Bearer {token}", "Accept": ANY},
        stream=True,
        timeout=10,
    )
    media_type = parse_media_type(answer.headers["Content-Type"])

    def take() -> None:
        for part in iter_parts(answer.iter_content(4096), boundary=media_type.boundary):
            b"".join(part.chunks())

    with pytest.raises((MalformedMultipart, requests.RequestException)):
        take()


def test_a_study_that_a_worker_pulls_is_read_when_it_is_here(hospital, reader):
    get(reader, f"/series/{A}/metadata", "application/dicom+json")
    missing = Series.objects.get(series_instance_uid=B)
    transfers.request_transfers(
        series_ids=[missing.pk], institution_id=hospital.id, lane=Transfer.Lane.BACKFILL
    )
    run_due(hospital.id)

    assert len(parts(get(reader, ""))) == 5


def test_its_series_are_asked_of_the_hospital_once(hospital, reader):
    address = f"{ROOT}/studies/{STUDY}/series"
    first, again = reader.get(address).json(), reader.get(address).json()

    assert [row["0020000E"]["Value"][0] for row in first] == [A, B]
    assert {row["00080056"]["Value"][0] for row in first} == {"NEARLINE"}
    assert again == first
    assert {path for path, _ in hospital.origin.requests} == {f"/studies/{STUDY}/series"}
    assert [query["offset"] for _, query in hospital.origin.requests].count("0") == 1


@pytest.mark.parametrize("path", [f"/series/{A}/instances", "/instances"])
def test_its_instances_are_those_that_the_hospital_lists(hospital, reader, path):
    rows = reader.get(f"{ROOT}/studies/{STUDY}{path}?includefield=PatientName").json()

    assert len(rows) == (3 if A in path else 5)
    assert {row["00080056"]["Value"][0] for row in rows} == {"NEARLINE"}
    assert all(
        row["00081190"]["Value"][0].startswith("http://testserver/dicom-web") for row in rows
    )
    assert not [row for row in rows if "00100010" in row]


def test_instances_of_a_partly_archived_study_are_online_and_nearline(hospital, reader):
    parts(get(reader, f"/series/{A}"))
    selectors.forget_places()

    rows = reader.get(f"{ROOT}/studies/{STUDY}/instances").json()

    assert [row["00080056"]["Value"][0] for row in rows] == ["ONLINE"] * 3 + ["NEARLINE"] * 2


def test_instances_of_a_listed_series_are_paged(reader):
    rows = reader.get(f"{ROOT}/studies/{STUDY}/instances?offset=2&limit=2").json()

    assert [row["00080018"]["Value"][0] for row in rows] == [f"{A}.3", f"{B}.1"]


@pytest.mark.parametrize("path", ["/series", "/instances", f"/series/{A}/instances"])
def test_a_search_in_a_study_whose_hospital_is_away_is_503_and_no_empty_list(
    hospital, reader, path
):
    hospital.origin.manners.status = 500

    answer = reader.get(f"{ROOT}/studies/{STUDY}{path}")

    assert answer.status_code == 503
    assert 'rel="status"' in answer["Link"]
