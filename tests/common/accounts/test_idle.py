"""A session lasts while it is used, and its row is not written for every request."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import timezone

from common.accounts import idle, tokens
from common.accounts.models import User
from common.accounts.public import public


def whoami(request):
    return HttpResponse(request.user.get_username())


urlpatterns = [
    path("accounts/", include("common.accounts.urls")),
    path("page/", whoami),
    path("open/", public(lambda request: HttpResponse("open"))),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture
def user(db):
    return User.objects.create_user("his", password="a-long-pass-phrase")


@pytest.fixture
def at(monkeypatch):
    """Sets the clock to so many seconds after the beginning."""
    start = timezone.now()

    def move(seconds: float) -> None:
        now = start + dt.timedelta(seconds=seconds)
        monkeypatch.setattr(idle.time, "time", now.timestamp)
        monkeypatch.setattr("django.utils.timezone.now", lambda: now)

    move(0)
    return move


def test_an_idle_session_ends_after_twelve_hours_and_a_used_one_does_not(client, user, at):
    client.force_login(user)

    for hour in (0, 11, 22):
        at(hour * 3600)
        assert client.get("/page/").status_code == 200
    at(34.1 * 3600)

    assert client.get("/page/").status_code == 302


def writes_of_sessions(captured: CaptureQueriesContext) -> int:
    return sum(
        "django_session" in query["sql"] and query["sql"].startswith(("UPDATE", "INSERT"))
        for query in captured.captured_queries
    )


def test_the_row_is_written_once_in_some_minutes(client, user, at):
    client.force_login(user)

    with CaptureQueriesContext(connection) as soon:
        for second in range(1, 290, 17):
            at(second)
            client.get("/page/")
    at(301)
    with CaptureQueriesContext(connection) as later:
        client.get("/page/")

    assert len(soon) >= 17
    assert writes_of_sessions(soon) == 0
    assert writes_of_sessions(later) == 1


def test_a_token_and_a_stranger_make_no_session(client, user):
    token = tokens.create_token(actor="test", user=user)

    assert client.get("/page/", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    assert client.get("/open/").status_code == 200

    assert not Session.objects.exists()
