"""The second factor: who must have one, how it is set up and shown, and what is refused."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import connection
from django.test import Client

from common import privacy
from common.accounts import codes, demands, factors, throttle
from common.accounts.models import RecoveryCode, SecondFactor, User
from common.accounts.tokens import create_token, remembered
from common.audit.models import AuditEntry
from tests.support.pages import inline_parts

PASSWORD = "a-long-pass-phrase"
pytestmark = [pytest.mark.django_db, pytest.mark.one_factor]
HTML = {"HTTP_ACCEPT": "text/html"}


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def reader() -> User:
    return User.objects.create_user("reader", password=PASSWORD)


def key_of(user: User) -> bytes:
    row = SecondFactor.objects.get(user=user)
    return privacy.decrypt(row.secret, context="accounts.secondfactor.secret")


def code_of(user: User, *, steps: int = 0) -> str:
    """What the person's generator shows, now or some steps of half a minute later."""
    totp = TOTP(key_of(user), 6, SHA1(), 30)
    return totp.generate(int(time.time()) + 30 * steps).decode()


def set_up(user: User) -> list[str]:
    """A confirmed generator whose present code is still good; the recovery codes."""
    factors.begin_enrolment(user, issuer="test")
    recovery = factors.confirm_enrolment(user, code_of(user, steps=-1))
    SecondFactor.objects.filter(user=user).update(last_step=0)
    return recovery


def log_in(client: Client, user: User, password: str = PASSWORD, next_url: str = "") -> Any:
    given = {"username": user.username, "password": password, "next": next_url}
    return client.post("/accounts/login/", given)


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("/hospitals/", 302),
        ("/accounts/", 302),
        ("/accounts/password/", 302),
        ("/api/v1/institutions", 403),
        ("/fhir/ImagingStudy", 403),
        ("/dicom-web/studies", 403),
        ("/dicom-web/studies/1.2/series/1.2/instances/1.2/frames/1", 403),
        ("/wado?requestType=WADO", 403),
        ("/viewer/", 302),
        ("/admin/", 302),
        ("/accounts/second-factor/", 200),
    ],
)
def test_an_administrator_without_one_may_only_set_it_up(
    client: Client, admin: User, address: str, answer: int
) -> None:
    log_in(client, admin)

    response = client.get(address)

    assert response.status_code == answer
    if answer == 302:
        assert response["Location"] == "/accounts/second-factor/"
    if answer == 403:
        assert (
            "second-factor-missing"
            in client.get(address, headers={"Accept": "application/json"}).content.decode()
        )


def test_a_fragment_of_a_page_leads_to_it_as_a_whole(client: Client, admin: User) -> None:
    log_in(client, admin)

    response = client.get("/hospitals/", headers={"HX-Request": "true"})

    assert (response.status_code, response["HX-Redirect"]) == (403, "/accounts/second-factor/")


def test_who_needs_none_is_asked_for_none_and_may_have_one(client: Client, reader: User) -> None:
    log_in(client, reader)

    assert client.get("/accounts/").status_code == 200
    assert client.get("/accounts/second-factor/").status_code == 200
    assert client.get("/dicom-web/studies").status_code != 403


def test_a_bearer_token_is_not_touched_by_it(client: Client, admin: User) -> None:
    remembered.clear()
    token = create_token(actor="test", user=admin)

    response = client.get("/api/v1/institutions", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 200


def test_it_is_set_up_with_a_picture_and_a_key_and_confirmed_by_a_code(
    client: Client, admin: User
) -> None:
    log_in(client, admin)
    page = client.get("/accounts/second-factor/", **HTML).content.decode()
    shown = re.search(r'<code id="key">([A-Z2-7 ]+)</code>', page)
    assert shown
    assert "<svg" in page
    assert inline_parts(page) == []

    wrong = client.post("/accounts/second-factor/", {"code": "000000"}).content.decode()
    assert shown[1] in wrong  # the same key: what was scanned already stays good
    right = client.post("/accounts/second-factor/", {"code": code_of(admin)})

    recovery = re.findall(r"<li><code>([0-9A-Z-]+)</code></li>", right.content.decode())
    assert len(recovery) == 10
    assert "no-store" in right["Cache-Control"]
    assert client.get("/hospitals/").status_code == 200
    assert recovery[0] not in client.get("/accounts/").content.decode()
    assert AuditEntry.objects.filter(action="second-factor.set-up", actor_id=admin.pk).exists()


def test_the_key_is_encrypted_and_recovery_codes_are_hashed(reader: User) -> None:
    recovery = set_up(reader)

    row = SecondFactor.objects.get()
    assert key_of(reader) not in bytes(row.secret)
    kept = [bytes(row.digest) for row in RecoveryCode.objects.all()]
    assert not any(recovery[0].encode() in digest for digest in kept)


def test_the_session_begins_only_after_the_code(client: Client, admin: User) -> None:
    set_up(admin)

    first = log_in(client, admin, next_url="/hospitals/")
    assert first["Location"] == "/accounts/code/"
    assert client.get("/hospitals/")["Location"].startswith("/accounts/login/")
    assert client.get("/dicom-web/studies").status_code == 401

    second = client.post("/accounts/code/", {"code": code_of(admin)})
    assert second["Location"] == "/hospitals/"
    assert client.get("/hospitals/").status_code == 200
    entry = AuditEntry.objects.filter(action="login", result="success").get()
    assert entry.detail == {"by": "password", "second": "totp"}


def test_the_session_has_another_key_after_each_step(client: Client, admin: User) -> None:
    set_up(admin)
    log_in(client, admin)
    half = client.cookies["sessionid"].value
    client.post("/accounts/code/", {"code": code_of(admin)})

    assert client.cookies["sessionid"].value != half


def test_a_code_is_good_once(client: Client, admin: User) -> None:
    set_up(admin)
    code = code_of(admin)
    log_in(client, admin)
    assert client.post("/accounts/code/", {"code": code}).status_code == 302
    other = Client()
    log_in(other, admin)

    again = other.post("/accounts/code/", {"code": code})

    assert again.status_code == 200
    assert other.get("/hospitals/")["Location"].startswith("/accounts/login/")


def test_an_older_code_than_the_last_one_is_refused(reader: User) -> None:
    set_up(reader)
    older = code_of(reader, steps=-1)
    assert factors.accept_code(reader, code_of(reader))

    assert not factors.accept_code(reader, older)


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_a_code_of_another_minute_is_refused(reader: User, steps: int) -> None:
    set_up(reader)

    assert not factors.accept_code(reader, code_of(reader, steps=steps))


@pytest.mark.parametrize(
    "code",
    [
        "",
        "0",
        "12345",
        "1234567",
        "abcdef",
        "１２３４５６",
        "²²²²²²",
        "1" * 5000,
        "\x00",
        "' or 1=1",
    ],
)
def test_what_is_no_code_is_refused(client: Client, admin: User, code: str) -> None:
    set_up(admin)
    log_in(client, admin)

    response = client.post("/accounts/code/", {"code": code})

    assert response.status_code == 200
    assert client.get("/hospitals/").status_code == 302


def test_a_recovery_code_lets_in_once_however_it_is_spelled(client: Client, admin: User) -> None:
    recovery = set_up(admin)
    spelled = recovery[0].lower().replace("-", " ")
    log_in(client, admin)
    assert client.post("/accounts/code/", {"code": spelled}).status_code == 302
    assert client.get("/hospitals/").status_code == 200
    other = Client()
    log_in(other, admin)

    assert other.post("/accounts/code/", {"code": recovery[0]}).status_code == 200
    assert factors.factor_state(admin).codes_left == 9
    assert AuditEntry.objects.filter(action="second-factor.recovery-code").count() == 1


def test_a_recovery_code_of_somebody_else_opens_nothing(reader: User, admin: User) -> None:
    recovery = set_up(reader)
    set_up(admin)

    assert not factors.accept_recovery_code(admin, recovery[0])


def test_new_recovery_codes_end_the_former_ones_and_need_a_code(
    client: Client, reader: User
) -> None:
    former = set_up(reader)
    log_in(client, reader)
    client.post("/accounts/code/", {"code": former[0]})
    assert client.post("/accounts/recovery-codes/", {"code": "000000"}).status_code == 302
    assert factors.factor_state(reader).codes_left == 9

    page = client.post("/accounts/recovery-codes/", {"code": code_of(reader)}).content.decode()

    new = re.findall(r"<li><code>([0-9A-Z-]+)</code></li>", page)
    assert len(new) == 10
    assert not factors.accept_recovery_code(reader, former[1])
    assert factors.accept_recovery_code(reader, new[1])


def test_wrong_codes_lock_as_wrong_passwords_do(client: Client, admin: User) -> None:
    set_up(admin)
    log_in(client, admin)
    for _ in range(throttle.FAILURES):
        assert client.post("/accounts/code/", {"code": "000000"}).status_code == 200

    locked = client.post("/accounts/code/", {"code": code_of(admin)})

    assert locked.status_code == 429
    assert int(locked["Retry-After"]) > 60
    assert throttle.locks_of(["root"])
    # The right password does not forgive wrong codes.
    log_in(client, admin)
    assert client.post("/accounts/code/", {"code": code_of(admin)}).status_code == 429


def test_right_codes_do_not_count_against_the_address_of_a_hospital(
    client: Client, reader: User
) -> None:
    set_up(reader)
    for _ in range(40):
        SecondFactor.objects.update(last_step=0)
        assert codes.show(reader, code_of(reader)) == codes.GENERATOR

    assert throttle.locked_until(username="somebody", address="127.0.0.1") is None


@pytest.mark.parametrize("change", ["password", "closed", "old"])
def test_a_half_log_in_ends(
    client: Client, admin: User, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(admin)
    log_in(client, admin)
    code = code_of(admin)
    if change == "password":
        admin.set_password("another-long-pass-phrase")
        admin.save()
    elif change == "closed":
        User.objects.update(is_active=False)
    else:
        now = time.time()
        monkeypatch.setattr("common.accounts.entering.time.time", lambda: now + 601)

    response = client.post("/accounts/code/", {"code": code})

    assert response["Location"] == "/accounts/login/"
    assert client.get("/hospitals/")["Location"].startswith("/accounts/login/")


def test_a_stranger_has_nothing_to_show_a_code_for(client: Client) -> None:
    assert client.get("/accounts/code/")["Location"] == "/accounts/login/"
    assert client.post("/accounts/code/", {"code": "1"})["Location"] == "/accounts/login/"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"]
)
def test_the_way_on_never_leads_elsewhere(client: Client, admin: User, target: str) -> None:
    set_up(admin)
    log_in(client, admin, next_url=target)

    assert client.post("/accounts/code/", {"code": code_of(admin)})["Location"] == "/"


def test_setting_it_up_ends_the_sessions_that_showed_no_code(admin: User) -> None:
    here, there = Client(), Client()
    log_in(here, admin)
    log_in(there, admin)
    here.get("/accounts/second-factor/")

    here.post("/accounts/second-factor/", {"code": code_of(admin)})

    assert here.get("/hospitals/").status_code == 200
    assert there.get("/hospitals/")["Location"].startswith("/accounts/login/")


def test_it_is_taken_away_with_a_code_and_who_must_have_one_sets_up_the_next(
    client: Client, admin: User
) -> None:
    set_up(admin)
    log_in(client, admin)
    client.post("/accounts/code/", {"code": code_of(admin)})
    assert client.post("/accounts/second-factor/remove", {"code": "000000"}).status_code == 302
    assert factors.has_factor(admin)
    SecondFactor.objects.update(last_step=0)

    client.post("/accounts/second-factor/remove", {"code": code_of(admin)})

    assert not factors.has_factor(admin)
    assert client.get("/hospitals/")["Location"] == "/accounts/second-factor/"


def test_people_of_the_demo_need_none_and_others_there_do(
    client: Client, settings: Any, admin: User
) -> None:
    settings.DEMO = True
    demo = User.objects.create_superuser("demo-commission", password=PASSWORD)

    log_in(client, demo)
    assert client.get("/hospitals/").status_code == 200
    demands.forget()
    other = Client()
    log_in(other, admin)
    assert other.get("/hospitals/").status_code == 302


def test_who_showed_one_in_the_demo_is_asked_for_it(client: Client, settings: Any) -> None:
    settings.DEMO = True
    demo = User.objects.create_superuser("demo-commission", password=PASSWORD)
    set_up(demo)

    assert log_in(client, demo)["Location"] == "/accounts/code/"


def test_keys_go_to_the_newest_field_key(reader: User, settings: Any) -> None:
    set_up(reader)
    former = key_of(reader)
    settings.FIELD_KEYS = ("another-key-another-key-another-key", *settings.FIELD_KEYS)

    assert factors.rotate_secrets() == 1
    assert factors.rotate_secrets() == 0

    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert key_of(reader) == former


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["generator", "recovery"])
def test_of_two_who_show_the_same_code_at_once_one_is_refused(kind: str) -> None:
    user = User.objects.create_user("reader", password=PASSWORD)
    recovery = set_up(user)
    code = code_of(user) if kind == "generator" else recovery[0]
    gate = threading.Barrier(6)
    answers: list[str] = []

    def show() -> None:
        gate.wait()
        answers.append(codes._proves(user, code))
        connection.close()

    threads = [threading.Thread(target=show) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(bool, answers)) == [False] * 5 + [True]


@pytest.mark.django_db(transaction=True)
def test_guesses_sent_at_the_same_time_are_not_more_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = User.objects.create_user("reader", password=PASSWORD)
    set_up(user)
    looked_at: list[str] = []
    monkeypatch.setattr(codes, "_proves", lambda _user, code: looked_at.append(code) or "")
    gate = threading.Barrier(20)

    def guess(number: int) -> None:
        gate.wait()
        try:
            codes.show(user, f"{number:06}")
        except codes.Locked:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(looked_at) <= throttle.FAILURES
