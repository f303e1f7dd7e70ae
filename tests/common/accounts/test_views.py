"""Logging in: recorded, throttled, for people."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from common.accounts import throttle
from common.accounts.models import LoginThrottle, User
from common.audit.models import AuditEntry

PASSWORD = "a-long-pass-phrase"
pytestmark = [pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _routes(settings):
    from tests.common.accounts import test_middleware

    settings.LOGIN_REDIRECT_URL = "/"  # the start page belongs to another module
    settings.ROOT_URLCONF = test_middleware


@pytest.fixture
def user(db):
    return User.objects.create_user("wang", password=PASSWORD)


def log_in(client, username="wang", password=PASSWORD, address="192.0.2.1"):
    return client.post(
        "/accounts/login/", {"username": username, "password": password}, REMOTE_ADDR=address
    )


def test_a_person_logs_in_and_out_and_both_are_recorded(client, user):
    assert log_in(client).status_code == 302
    assert client.get("/page/").status_code == 200
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/page/").status_code == 302

    entries = list(AuditEntry.objects.values_list("action", "actor_id", "result", "address"))
    assert entries[0] == ("login", user.pk, "success", "192.0.2.1")
    assert entries[1][:2] == ("logout", user.pk)


def test_a_refused_log_in_is_recorded_without_what_was_typed(client, user):
    assert log_in(client, username="my-Secret-typed-here").status_code == 200
    assert log_in(client, password="wrong").status_code == 200

    assert list(AuditEntry.objects.values_list("actor_name", "result")) == [
        ("", "refused"), ("wang", "refused"),
    ]  # fmt: skip
    assert "my-Secret" not in str(list(AuditEntry.objects.values()))


def test_a_system_cannot_log_in_by_password(client, user):
    User.objects.update(is_system=True)

    assert log_in(client).status_code == 200
    assert client.get("/page/").status_code == 302


def test_five_failures_lock_the_account_even_for_the_right_password(client, user):
    for _ in range(5):
        log_in(client, password="wrong")

    locked = log_in(client)
    assert locked.status_code == 429
    assert 0 < int(locked["Retry-After"]) <= 15 * 60 + 1

    LoginThrottle.objects.update(locked_until=timezone.now())
    assert log_in(client).status_code == 302
    assert (
        LoginThrottle.objects.count() == 1
    )  # the address keeps its count, the account is forgiven


def test_thirty_failures_lock_an_address_for_every_account(client, user):
    for number in range(30):
        throttle.count_failure(username=f"guess{number}", address="192.0.2.9")

    assert log_in(client, address="192.0.2.9").status_code == 429
    assert log_in(client, address="192.0.2.10").status_code == 302


def test_failures_of_a_quarter_of_an_hour_ago_are_forgotten(user):
    long_ago = timezone.now() - throttle.WINDOW - timedelta(seconds=1)
    for _ in range(4):
        throttle.count_failure(username="wang", address="", now=long_ago)

    throttle.count_failure(username="wang", address="")

    assert LoginThrottle.objects.get().failures == 1
    assert throttle.locked_until(username="wang", address="") is None


def test_the_language_of_the_account_comes_with_the_log_in(client, user):
    User.objects.update(language="en")

    assert log_in(client).cookies["django_language"].value == "en"
