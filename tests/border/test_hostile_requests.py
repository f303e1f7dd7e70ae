"""What nobody sends by accident: a clear refusal each time, never a fault of ours, never for long."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client

from common.dicomweb.server import BadRequest
from sharing.dicomweb.document_matching import wildcard
from sharing.dicomweb.matching import description
from sharing.dicomweb.name_matching import person_name
from sharing.dicomweb.picture_parameters import read_quality
from sharing.dicomweb.query import Search, parse_search
from tests.support.pages import Province, make_province

UID = "1.2.826.0.1.3680043.8.498.66616929511335785754666107427699024132"


@pytest.fixture
def province(db: None) -> Province:
    return make_province()


@pytest.mark.parametrize("pattern", ["*?" * 20 + "x", "*1" * 20 + "x", "*" + "?*" * 1900])
def test_a_pattern_of_many_wildcards_is_matched_at_once(pattern: str) -> None:
    began = time.monotonic()

    found = wildcard(pattern).fullmatch(UID)

    assert found is None
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "abc", True),
        ("a*", "abc", True),
        ("*c", "abc", True),
        ("*b*", "abc", True),
        ("a?c", "abc", True),
        ("a*b*c", "a-b-b-c", True),
        ("*ab*ab", "ab-ab", True),
        ("*ab*ab", "xab", False),
        ("a*?c", "ac", False),
        ("b", "abc", False),
        ("?", "", False),
        ("a.c", "abc", False),
        ("x\\a*", "abc", True),
    ],
)
def test_wildcards_still_mean_what_the_standard_says(
    pattern: str, text: str, matches: bool
) -> None:
    assert (wildcard(pattern).fullmatch(text) is not None) is matches


@pytest.mark.django_db  # how a search goes depends on how frequent its words are
@pytest.mark.parametrize("matching", [partial(person_name, fuzzy=None), description])
def test_a_list_of_very_many_patterns_is_refused(matching: Any) -> None:
    with pytest.raises(BadRequest):
        matching("patient_name", "\\".join(f"a{number}*" for number in range(200)))


def test_the_warnings_of_a_search_stay_short() -> None:
    parameters = QueryDict("&".join(f"a{number}" for number in range(900)))

    search = parse_search(parameters, matchable=frozenset().__contains__)

    assert isinstance(search, Search)
    assert sum(map(len, search.warnings)) < 4_000


@pytest.mark.parametrize("text", ["00501", "0050" + "9" * 30, "0100", "١٠"])
def test_a_quality_of_too_many_digits_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_quality(text, 90)


@pytest.mark.parametrize(
    ("role", "address"),
    [
        ("radiologist", "/studies/x/%00/"),
        ("radiologist", "/studies/x/1.2%00/view/1/"),
        ("commission", "/operations/?institution=%00"),
        ("commission", "/api/v1/institutions?search=%00"),
        ("commission", "/api/v1/institutions?region=%00"),
        ("radiologist", "/viewer/%00.js"),
        ("radiologist", "/dicom-web/studies?PatientName=%00"),
        ("", "/accounts/login/?next=%00"),
    ],
)
def test_a_nul_in_an_address_is_a_bad_request(province: Province, role: str, address: str) -> None:
    answer = province.client(role).get(address)

    assert answer.status_code == 400
    assert "Content-Type" in answer


def test_a_nul_as_user_name_is_a_failed_log_in(db: None) -> None:
    answer = Client().post("/accounts/login/", {"username": "a\x00b", "password": "x"})

    assert answer.status_code == 200


def test_a_nul_as_reason_is_a_refusal(province: Province) -> None:
    client = province.client("commission")

    answer = client.post("/hospitals/EAST/suspend", {"reason": "a\x00b"})

    assert answer.status_code in {302, 400}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps({"code": "zz", "name": "x", "region": "\x00"}), 400),
        ('{"code":' + "[" * 50_000 + "]" * 50_000 + "}", 400),
        ('{"code":"' + "a" * 2_000_000 + '"}', 413),
    ],
)
def test_a_hostile_document_is_refused(province: Province, body: str, status: int) -> None:
    answer = province.client("commission").post(
        "/api/v1/institutions",
        body,
        content_type="application/json",
        headers={"Accept": "application/json"},
    )

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("application/problem+json")


def test_a_form_is_no_way_into_the_interface(province: Province) -> None:
    client = province.client("commission")

    answer = client.post(
        "/api/v1/regions", {"code": "990001"}, headers={"Accept": "application/json"}
    )

    assert answer.status_code == 415


def test_a_file_name_of_the_viewer_that_is_too_long_is_not_there(
    province: Province, settings: Any, tmp_path: Any
) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer" / "index.html").write_text("viewer")

    answer = province.client("radiologist").get(f"/viewer/{'a' * 300}.js")

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("query", "status"), [("", 503), ("PatientID=P1", 503), ("PatientSex=M", 413)]
)
def test_a_search_that_the_database_ended_is_unavailability_or_too_broad(
    province: Province, monkeypatch: pytest.MonkeyPatch, query: str, status: int
) -> None:
    from sharing.dicomweb import searching

    def slow(*_: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '20ms'")
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(searching, "_run", slow)

    answer = province.client("radiologist").get(f"/dicom-web/studies?{query}")

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/plain")
