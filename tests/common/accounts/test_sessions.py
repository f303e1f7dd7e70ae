"""Where a person is logged in: listed, ended, and refused within five seconds."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from common import kept
from common.accounts import devices, person, sessions
from common.accounts.models import FormerPassword, PersonSession, User
from common.audit.models import AuditEntry

PASSWORD = "a-long-pass-phrase"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody_kept() -> None:
    person.forget_people()


@pytest.fixture
def user() -> User:
    return User.objects.create_user("reader", password=PASSWORD)


def logged_in(user: User, *, agent: str = CHROME, address: str = "192.0.2.1") -> Client:
    client = Client(HTTP_USER_AGENT=agent, REMOTE_ADDR=address)
    given = {"username": user.username, "password": PASSWORD}
    assert client.post("/accounts/login/", given).status_code == 302
    return client


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "Chrome, Windows"),
        (PHONE, "Safari, iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/1 MicroMessenger/8.0", "WeChat, Android"),
        ("<script>alert(1)</script>", ""),
        ("", ""),
        ("x" * 100_000, ""),
    ],
)
def test_a_device_has_a_name_that_people_know(agent: str, name: str) -> None:
    assert devices.device_name(agent) == name


def test_the_page_lists_device_and_address_and_which_one_is_here(user: User) -> None:
    here = logged_in(user)
    logged_in(user, agent=PHONE, address="198.51.100.7")

    rows = sessions.list_sessions(user, current=here.session.session_key)
    page = here.get("/accounts/").content.decode()

    assert {(row.device, row.address, row.is_current) for row in rows} == {
        ("Chrome, Windows", "192.0.2.1", True),
        ("Safari, iPhone", "198.51.100.7", False),
    }
    assert "Safari, iPhone" in page
    assert "198.51.100.7" in page
    assert here.session.session_key not in page


def test_one_session_is_ended_and_the_next_request_is_a_strangers(user: User) -> None:
    here, there = logged_in(user), logged_in(user, agent=PHONE)
    row = next(row for row in sessions.list_sessions(user) if row.device == "Safari, iPhone")

    here.post(f"/accounts/sessions/{row.id}/end")

    assert there.get("/accounts/").status_code == 302
    assert here.get("/accounts/").status_code == 200
    assert AuditEntry.objects.filter(action="session.end", actor_id=user.pk).count() == 1


def test_all_others_are_ended_and_this_one_stays(user: User) -> None:
    here, *others = (logged_in(user) for _ in range(4))

    here.post("/accounts/sessions/end")

    assert [client.get("/accounts/").status_code for client in others] == [302] * 3
    assert here.get("/accounts/").status_code == 200
    assert PersonSession.objects.count() == 1


def test_a_viewer_of_another_process_is_refused_within_five_seconds(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = kept.time.monotonic()
    monkeypatch.setattr(kept.time, "monotonic", lambda: now)
    there = logged_in(user)
    assert there.get("/dicom-web/nothing").status_code == 404
    # As another process does it: what this one keeps is not forgotten at once.
    monkeypatch.setattr(sessions, "forget_people", lambda: None)
    sessions.end_sessions(actor=user, user=user)

    monkeypatch.setattr(kept.time, "monotonic", lambda: now + 5)

    assert there.get("/dicom-web/nothing").status_code == 401


def test_nobody_ends_the_session_of_somebody_else(user: User) -> None:
    other = User.objects.create_user("other", password=PASSWORD)
    theirs = logged_in(other)
    row = PersonSession.objects.get(user=other)

    answer = logged_in(user).post(f"/accounts/sessions/{row.pk}/end")

    assert answer.status_code == 404
    assert theirs.get("/accounts/").status_code == 200


def test_a_session_that_was_logged_out_is_no_longer_listed(user: User) -> None:
    logged_in(user).post("/accounts/logout/")

    assert sessions.list_sessions(user) == []


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one_listed(user: User) -> None:
    here, there = logged_in(user), logged_in(user, agent=PHONE)
    new = "another-long-pass-phrase"

    here.post(
        "/accounts/password/",
        {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
    )

    assert there.get("/accounts/").status_code == 302
    assert [
        row.is_current for row in sessions.list_sessions(user, current=here.session.session_key)
    ] == [True]


def change(client: Client, old: str, new: str) -> Any:
    given = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/accounts/password/", given)


def test_none_of_the_last_five_passwords_is_taken_again(user: User) -> None:
    client = logged_in(user)
    current = PASSWORD
    assert change(client, current, PASSWORD).status_code == 200
    for number in range(4):
        new = f"pass-phrase-number-{number}"
        assert change(client, current, new).status_code == 302
        current = new
    assert change(client, current, PASSWORD).status_code == 200

    assert change(client, current, "pass-phrase-number-5").status_code == 302
    assert change(client, "pass-phrase-number-5", PASSWORD).status_code == 302
    assert FormerPassword.objects.filter(user=user).count() == 5


@pytest.mark.parametrize(("days", "answer"), [(0, 200), (91, 200), (89, 302)])
def test_a_password_ends_only_where_a_setting_says_so(
    user: User, settings: Any, days: int, answer: int
) -> None:
    client = logged_in(user)
    from datetime import timedelta

    from django.utils import timezone

    User.objects.update(password_set_at=timezone.now() - timedelta(days=90))
    settings.PASSWORD_MAX_DAYS = days

    response = client.get("/accounts/")

    assert response.status_code == answer
    if answer == 302:
        assert response["Location"] == "/accounts/password/"
        assert client.get("/dicom-web/studies").status_code == 403


def test_what_people_change_about_themselves_is_mail_and_language(user: User) -> None:
    client = logged_in(user)

    client.post(
        "/accounts/",
        {"email": "r@example.org", "language": "en", "is_superuser": "1", "username": "root"},
    )

    user.refresh_from_db()
    assert (user.email, user.language, user.username) == ("r@example.org", "en", "reader")
    assert not user.is_superuser


@pytest.mark.parametrize(
    "given", [{"email": "nobody"}, {"language": "xx"}, {"email": "a\x00@example.org"}]
)
def test_what_cannot_be_is_refused_in_the_form(user: User, given: dict[str, str]) -> None:
    assert logged_in(user).post("/accounts/", given).status_code == 200
    user.refresh_from_db()
    assert user.email == ""


def test_a_token_opens_no_account_page(client: Client, user: User) -> None:
    from common.accounts.tokens import create_token

    token = create_token(actor="test", user=user)

    answer = client.get("/accounts/", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 400
