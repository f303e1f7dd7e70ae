"""What nobody sends by accident: an OperationOutcome each time, never a fault of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.fhir import urlpatterns
from hospitals.fhir import RESOURCES as HOSPITALS
from sharing.fhir import RESOURCES as SHARING
from tests.sharing.fhir.conftest import Province, Reader, reader_of
from tests.support.fhir import valid

KINDS = {kind.name: kind for kind in (*SHARING, *HOSPITALS)}
NAMES = sorted(
    {
        name
        for kind in KINDS.values()
        for name in (*kind.chained, *(p.name for p in kind.parameters))
    }
)


@pytest.mark.parametrize(
    "query",
    [
        "started=2026-13",
        "started=2026-02-30",
        "started=0000",
        "started=xx2026",
        "started=ap2026",
        "started=2026-01-01T25:00",
        "started=2026-01-01T10:00:00%2B99:00",
        "started=9999-12-31T23:59:59-12:00",
        "started=0001-01-01T00:00:00%2B14:00",
        "started=" + "9" * 3_000,
        "started=٢٠٢٦",
        "_count=-1",
        "_count=x",
        "_count=١",
        "modality:not=CT",
        "modality:x=CT",
        "patient:Device=1",
        "_sealed=x",
        "_sealed=" + "A" * 200,
        "identifier=" + "a" * 5_000,
        "modality=" + ",".join(["CT"] * 60),
        "&".join(["modality=CT"] * 60),
    ],
)
def test_a_parameter_that_makes_no_sense_is_a_bad_request(
    province: Province, reader: Reader, query: str
) -> None:
    answer = reader.get(f"ImagingStudy?{query}")

    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/fhir+json")
    valid(answer.json())


@pytest.mark.parametrize(
    "query",
    [
        "identifier=|",
        "identifier=urn:dicom:uid|",
        "identifier=%5C",
        "identifier=a%5C,b%5C|c",
        "modality=|",
        "patient=",
        "patient=Patient/",
        "patient=../../x",
        "patient=" + "9" * 30,
        "_id=99999999999999999999",
        "_id=-1,0,1e9,0x1",
        "endpoint=Endpoint/..",
        "series=1.2'%20OR%201=1",
        "patient.name=%27%22%5C*(%5B",
        "patient.family:exact=a.*(b",
        "patient.name=\U0001f600",
        "patient.name=" + "张" * 500,
        "patient.gender=" + "%" * 3,
        "status=|available",
        "=x",
        "%ff=%fe",
        "_include=*",
        "_include=ImagingStudy:nothing",
        "_revinclude=Patient:x",
        "_total=x",
        "_summary=data",
        "_sort=-started",
        "started=ge2026,le2025",
    ],
)
def test_a_value_that_nobody_has_finds_nothing_and_breaks_nothing(
    province: Province, reader: Reader, query: str
) -> None:
    answer = reader.get(f"ImagingStudy?{query}")

    assert answer.status_code == 200
    valid(answer.json())


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30, "999999"])
def test_a_page_that_was_never_ours_is_refused(
    province: Province, reader: Reader, page: str
) -> None:
    assert reader.get(f"ImagingStudy?_page={page}").status_code == 410
    assert reader.get(f"Patient?name=x&_page={page}").status_code in {400, 410}
    assert reader.get(f"Organization?_page={page}").status_code == 200
    assert reader.get("Organization?_page=%20/").status_code == 400


def test_a_nul_is_refused_in_an_address_and_in_a_body(province: Province, reader: Reader) -> None:
    assert reader.get("Patient?name=%00").status_code == 400
    assert reader.post("Patient/_search", {"name": "a\x00b"}).status_code == 400
    assert reader.post("Patient/_search", {"na\x00me": "a"}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "Patient/1", 405),
        ("DELETE", "ImagingStudy/1", 405),
        ("POST", "ImagingStudy", 405),
        ("GET", "ImagingStudy/_search", 405),
        ("GET", "", 404),
        ("GET", "Observation", 404),
        ("GET", "Observation/1", 404),
        ("GET", "Patient/1/_history", 404),
        ("GET", "Patient/a_b", 404),
        ("GET", "Patient/" + "1" * 65, 404),
        ("GET", "Patient/1'--", 404),
        ("GET", "patient/1", 404),
        ("GET", "Organization/near_1", 404),
    ],
)
def test_what_is_not_offered_is_said_in_an_outcome(
    province: Province, reader: Reader, method: str, path: str, status: int
) -> None:
    answer = reader_of(province.radiologist, scope="full").request(method, path)

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("application/fhir+json")
    valid(answer.json())


def test_a_token_that_only_reads_changes_nothing_here_either(
    province: Province, reader: Reader
) -> None:
    for method, path in (("PUT", "Patient/1"), ("POST", "ImagingStudy")):
        answer = reader.request(method, path)

        assert answer.status_code == 403
        assert valid(answer.json())["issue"][0]["code"] == "forbidden"


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        ("application/fhir+json", "", 200),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("application/fhir+json; fhirVersion=3.0", "", 406),
        ("application/json", "", 200),
        ("*/*", "", 200),
        ("", "", 200),
        ("text/html, */*; q=0.1", "", 200),
        ("application/fhir+xml", "", 406),
        ("application/fhir+json; q=0", "", 200),  # nothing is left that is asked for
        ("application/fhir+xml", "?_format=json", 200),
        ("application/json", "?_format=xml", 406),
        ("*/*", "?_format=application/fhir%2Bjson", 200),
        ("*/*", "?_format=application/fhir+json", 200),
        ("*/*", "?_format=text/turtle", 406),
        ("*/*", "?_pretty=true", 200),
    ],
)
def test_the_format_is_json_or_the_request_is_refused(
    province: Province, reader: Reader, accept: str, query: str, status: int
) -> None:
    answer = reader.get(f"ImagingStudy/{province.zhang.pk}{query}", Accept=accept)

    assert answer.status_code == status
    assert answer["Content-Type"] in {
        "application/fhir+json; charset=utf-8",
        "application/json; charset=utf-8",
    }
    valid(answer.json())


def test_what_the_caller_holds_is_not_sent_again(province: Province, reader: Reader) -> None:
    first = reader.get(f"ImagingStudy/{province.zhang.pk}")
    again = reader.get(f"ImagingStudy/{province.zhang.pk}", **{"If-None-Match": first["ETag"]})
    province.zhang.study_description = "other"
    province.zhang.save()
    changed = reader.get(f"ImagingStudy/{province.zhang.pk}", **{"If-None-Match": first["ETag"]})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert changed.status_code == 200


def test_a_head_says_what_a_get_would(province: Province, reader: Reader) -> None:
    address = f"ImagingStudy/{province.zhang.pk}"

    head = reader.request("HEAD", address)

    assert head.content == b""
    assert head["Content-Length"] == str(len(reader.get(address).content))


def test_a_search_in_another_form_than_a_form_is_refused(
    province: Province, reader: Reader
) -> None:
    client: Client = reader._client

    answer = client.post("/fhir/Patient/_search", "{}", content_type="application/json")

    assert answer.status_code == 415
    valid(answer.json())


def test_a_fault_of_ours_is_an_outcome_without_detail(
    province: Province, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("张三")

    reader._client.raise_request_exception = False
    monkeypatch.setattr("sharing.fhir.imaging_study._resources", broken)

    answer = reader.get("ImagingStudy")

    assert answer.status_code == 500
    assert valid(answer.json())["issue"][0]["code"] == "exception"
    assert "张三" not in answer.content.decode()


_SIGNS = st.text(st.sampled_from(list("0129-:T.|,\\$%*^=_/ azA张")), max_size=24)
_TEXTS = st.one_of(
    _SIGNS,
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=24),
)
_PARAMETERS = st.tuples(
    st.sampled_from([*NAMES, "_count", "_page", "_include", "_total", "_sealed", "_sort"]),
    st.sampled_from(["", ":exact", ":contains", ":identifier", ":missing", ":Patient"]),
    _TEXTS,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(kind=st.sampled_from(sorted(KINDS)), asked=st.lists(_PARAMETERS, max_size=4))
def test_no_search_whatever_it_asks_is_a_fault_of_ours(
    province: Province, reader: Reader, kind: str, asked: list[tuple[str, str, str]]
) -> None:
    query = "&".join(f"{name}{modifier}={quote(value)}" for name, modifier, value in asked)

    answer = reader.get(f"{kind}?{query}")

    # The trail of the audit is not a reader's, whatever is asked.
    assert answer.status_code in ({400, 403} if kind == "AuditEvent" else {200, 400, 410})
    assert answer["Content-Type"].startswith("application/fhir+json")
    valid(answer.json())


def test_every_route_is_of_a_known_type() -> None:
    named = {route.name for route in urlpatterns if route.name}

    assert named == {"root", "metadata"} | {
        f"{verb}-{name.lower()}" for name in KINDS for verb in ("search", "post", "read")
    }
