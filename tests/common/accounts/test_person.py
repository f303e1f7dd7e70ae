"""A viewer's session is looked up once in some seconds, and ends within five."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from common import kept
from common.accounts import person
from common.accounts.models import User

ADDRESS = "/dicom-web/nothing"  # 404 for whoever is let in, 401 for a stranger


@pytest.fixture
def client(db: None) -> Client:
    person.forget_people()
    client = Client()
    client.force_login(User.objects.create_user("reader", password="a-long-pass-phrase"))
    return client


@pytest.fixture
def seconds_later(monkeypatch: pytest.MonkeyPatch) -> Any:
    now = kept.time.monotonic()

    def move(seconds: float) -> None:
        monkeypatch.setattr(kept.time, "monotonic", lambda: now + seconds)

    move(0)
    return move


def test_the_next_frames_cost_no_query_for_the_session(client: Client) -> None:
    client.get(ADDRESS)

    with CaptureQueriesContext(connection) as captured:
        assert client.get(ADDRESS).status_code == 404

    assert [query for query in captured if "session" in query["sql"]] == []
    assert [query for query in captured if "accounts_user" in query["sql"]] == []


def test_a_session_that_was_ended_is_refused_within_five_seconds(
    client: Client, seconds_later: Any
) -> None:
    assert client.get(ADDRESS).status_code == 404
    Session.objects.all().delete()

    seconds_later(5)

    assert client.get(ADDRESS).status_code == 401


def test_an_account_that_was_closed_is_refused_within_five_seconds(
    client: Client, seconds_later: Any
) -> None:
    assert client.get(ADDRESS).status_code == 404
    User.objects.update(is_active=False)

    seconds_later(5)

    assert client.get(ADDRESS).status_code == 401


def test_who_logs_out_is_out_at_once(client: Client) -> None:
    assert client.get(ADDRESS).status_code == 404
    cookie = client.cookies["sessionid"].value
    client.post("/accounts/logout/")

    client.cookies["sessionid"] = cookie
    assert client.get(ADDRESS).status_code == 401


def test_a_page_asks_the_database_each_time(client: Client) -> None:
    assert client.get(ADDRESS).status_code == 404
    Session.objects.all().delete()

    assert client.get("/accounts/password/").status_code == 302
