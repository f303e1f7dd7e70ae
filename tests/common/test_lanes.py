"""What DICOMweb requests are spared, and what they keep."""

from __future__ import annotations

import pytest
from django.test import Client


@pytest.mark.parametrize("address", ["/dicom-web/studies", "/dicom-web/nothing", "/dicom-web/"])
def test_every_dicomweb_answer_has_the_headers_that_protect(db: None, address: str) -> None:
    answer = Client().get(address)

    assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Request-ID"]


def test_a_page_keeps_the_policy_of_pages(db: None) -> None:
    answer = Client().get("/accounts/login/")

    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Content-Language"] == "zh-hans"


def test_a_refusal_speaks_the_callers_language_and_not_that_of_the_threads_last_request(
    db: None,
) -> None:
    def refused(language: str) -> str:
        return Client().get("/dicom-web/studies", headers={"Accept-Language": language}).text

    english, chinese = refused("en"), refused("zh-CN,zh;q=0.9")

    assert english.startswith("Log in")
    assert chinese.strip() != english.strip()
    assert refused("en") == english


def test_a_host_that_is_not_ours_is_refused_in_this_lane_too(db: None) -> None:
    assert Client().get("/dicom-web/studies", headers={"Host": "elsewhere"}).status_code == 400
