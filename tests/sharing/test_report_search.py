"""Reports found by their words: Chinese and Latin, rare and frequent, within sight only."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from common.audit.models import RepeatedAccess
from sharing import permissions
from sharing.selectors import report_search
from sharing.selectors.report_search import ReportSearch, search_reports
from tests.support import archive
from tests.support.pages import UID, make_province
from tests.support.reports import content, take

pytestmark = pytest.mark.django_db


@pytest.fixture
def places() -> dict[str, Any]:
    permissions.forget_sights()
    consortium = archive.make_consortium("tight")
    return {
        "near": archive.make_institution("near", consortium=consortium),
        "partner": archive.make_institution("partner", consortium=consortium),
        "far": archive.make_institution("far"),
    }


def told(place: Any, number: int, findings: str, **values: Any) -> None:
    archive.make_indexed_study(place, f"1.2.3.{place.pk}.{number}", patient_id=f"P{number}")
    take(
        place,
        content(findings=findings, minutes=number, **values),
        study_instance_uid=f"1.2.3.{place.pk}.{number}",
    )


def found(user: Any, text: str, **more: Any) -> list[str]:
    page = search_reports(actor=user, search=ReportSearch(text=text, **more))
    return [each.version.findings for each in page.rows]


@pytest.fixture(params=["by the index", "by reading the newest"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rare words go one way and frequent ones another; both must find the same."""
    if request.param != "by the index":
        monkeypatch.setattr(report_search, "_rare", lambda terms: None)
    return str(request.param)


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("结节", ["右肺结节 8.5 mm", "左肺 结节"]),
        ("右肺结节", ["右肺结节 8.5 mm"]),
        ("结节 8.5", ["右肺结节 8.5 mm"]),
        ("节", ["右肺结节 8.5 mm", "左肺 结节"]),
        ("NODULE", ["A nodule, 100% sure"]),
        ("ule, 100%", ["A nodule, 100% sure"]),
        ("0%", ["A nodule, 100% sure"]),
        ("10_% ", []),
        ("结石", []),
        ("ＭＭ", ["右肺结节 8.5 mm"]),
        ("心影增大", ["心影增大"]),
    ],
)
def test_words_are_found_wherever_they_stand(
    places: dict[str, Any], way: str, text: str, hits: list[str]
) -> None:
    for number, text_of in enumerate(
        ["心影增大", "A nodule, 100% sure", "左肺 结节", "右肺结节 8.5 mm"]
    ):
        told(places["near"], number, text_of)
    reader = archive.make_user("reader", "radiologist", places["near"])

    assert found(reader, text) == hits


def test_only_what_a_report_says_now_is_found(places: dict[str, Any], way: str) -> None:
    told(places["near"], 1, "疑似结核")
    take(
        places["near"],
        content("amended", "排除感染", minutes=50),
        study_instance_uid=f"1.2.3.{places['near'].pk}.1",
    )
    reader = archive.make_user("reader", "radiologist", places["near"])

    assert found(reader, "结核") == []
    assert found(reader, "感染") == ["排除感染"]


@pytest.mark.parametrize(
    ("role", "at", "sees"),
    [
        ("radiologist", "near", {"near", "partner"}),
        ("clinician", "partner", {"near", "partner"}),
        ("institution_admin", "near", {"near"}),
        ("radiologist", "far", {"far"}),
        ("commission", None, set()),
        ("auditor", None, set()),
        ("operator", None, set()),
    ],
)
def test_reports_are_found_within_sight_only(
    places: dict[str, Any], way: str, role: str, at: str | None, sees: set[str]
) -> None:
    for code, place in places.items():
        told(place, 1, f"结节 {code}")
    user = archive.make_user("somebody", role, places[at] if at else None)

    assert set(found(user, "结节")) == {f"结节 {code}" for code in sees}


def test_a_report_that_waits_for_its_study_is_not_found(places: dict[str, Any], way: str) -> None:
    take(places["near"], content(findings="结节"), accession_number="A1")
    reader = archive.make_user("reader", "radiologist", places["near"])

    assert found(reader, "结节") == []


def test_hits_are_paged_the_newest_first_and_narrowed(places: dict[str, Any], way: str) -> None:
    for number in range(30):
        told(places["near"] if number % 2 else places["partner"], number, f"结节 {number:02}")
    reader = archive.make_user("reader", "radiologist", places["near"])

    first, second = found(reader, "结节"), found(reader, "结节", page=2)

    assert first + second == [f"结节 {number:02}" for number in reversed(range(30))]
    assert len(found(reader, "结节", institution_code="near")) == 15
    assert found(reader, "结节", institution_code="far") == []
    assert found(reader, "结节", status="preliminary") == []


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_page_marks_the_words_and_takes_the_question_by_post(language: str) -> None:
    province = make_province()
    take(
        province.east,
        content(impression="<b>右肺结节</b>，建议复查"),
        study_instance_uid=f"{UID}.1",
    )
    client = province.client("radiologist", language=language)
    address = reverse("sharing:reports")

    html = client.post(address, {"text": "结节"}).content.decode()
    by_address = client.get(address, {"text": "结节"}).content.decode()

    assert "<mark>结节</mark>" in html
    assert "&lt;b&gt;右肺" in html
    assert "<mark>" not in by_address
    assert client.post(address, {"text": "a"}).status_code == 422
    assert client.post(address, {"text": "石"}).status_code == 200
    assert RepeatedAccess.objects.filter(values__action="report.search").exists()
