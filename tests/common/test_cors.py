"""Scripts of other origins: those that are listed may read every answer, errors too (Fetch Standard)."""

from __future__ import annotations

from typing import Any

import pytest

ORIGIN = "https://viewer.example.org"
ASKING = {"origin": ORIGIN, "access-control-request-method": "GET"}


@pytest.fixture
def listed(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = (ORIGIN,)


@pytest.mark.django_db
@pytest.mark.usefixtures("listed")
def test_a_refusal_can_be_read_by_a_listed_origin(client):
    answer = client.get("/dicom-web/studies", headers={"origin": ORIGIN})

    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert "WWW-Authenticate" in answer["Access-Control-Expose-Headers"]
    assert "Origin" in answer["Vary"]


@pytest.mark.usefixtures("listed")
def test_a_preflight_is_answered_without_a_log_in(client):
    answer = client.options("/dicom-web/studies/1.2", headers=ASKING)

    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert "Authorization" in answer["Access-Control-Allow-Headers"]


@pytest.mark.django_db
@pytest.mark.usefixtures("listed")
def test_other_origins_get_no_leave(client):
    others = ("https://evil.example", "https://viewer.example.org.evil.example", "null", "")
    for origin in others:
        preflight = client.options("/dicom-web/studies", headers={**ASKING, "origin": origin})
        answer = client.get("/dicom-web/studies", headers={"origin": origin})

        assert "Access-Control-Allow-Origin" not in preflight
        assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.django_db
@pytest.mark.usefixtures("listed")
def test_pages_are_for_nobody_elses_scripts(client):
    answer = client.get("/accounts/login/", headers={"origin": ORIGIN})

    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.django_db
def test_nothing_is_allowed_unless_it_is_set(client, settings):
    settings.CORS_ALLOWED_ORIGINS = ()

    answer = client.get("/dicom-web/studies", headers={"origin": ORIGIN})

    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.django_db
def test_a_star_lets_any_origin_read_without_credentials(client, settings):
    settings.CORS_ALLOWED_ORIGINS = ("*",)

    answer = client.get("/dicom-web/studies", headers={"origin": "https://any.example"})

    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer
