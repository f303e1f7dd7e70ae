"""Bearer tokens of systems: made, rotated and withdrawn by their keeper, on pages and by REST."""

from __future__ import annotations

import datetime as dt
import re
import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from common.accounts.models import Token, User
from common.accounts.tokens import (
    TokenEnded,
    TokenRefused,
    TokenReplaced,
    remembered,
    resolve_token,
)
from common.audit.models import AuditEntry
from common.errors import NotPermitted
from hospitals import selectors, services
from hospitals.errors import FieldInvalid, SystemUnknown, TokenUnknown
from hospitals.models import Institution, Membership
from hospitals.permissions import today

pytestmark = pytest.mark.django_db
TOKENS = "/api/v1/tokens"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    remembered.clear()


@pytest.fixture
def keeper(make_user: Any, hospital: Institution) -> User:
    user: User = make_user("keeper", "institution_admin", hospital)
    return user


@pytest.fixture
def pacs(keeper: User, hospital: Institution) -> User:
    return services.add_system(actor=keeper, institution=hospital, username="pacs", name="PACS")


@pytest.fixture
def at_work(keeper: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(keeper)
    return client


def issued(keeper: User, pacs: User, **more: Any) -> tuple[Token, str]:
    given = {"days": 90, "scope": "full", "label": "STOW"} | more
    return services.issue_token(actor=keeper, system=pacs, **given)


def of_bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_new_system_works_at_its_institution_and_has_no_password(
    pacs: User, hospital: Institution
) -> None:
    assert pacs.is_system
    assert not pacs.has_usable_password()
    assert Membership.objects.get(user=pacs).role == "integrator"


def test_a_token_is_read_once_and_works(keeper: User, pacs: User) -> None:
    token, text = issued(keeper, pacs)

    assert resolve_token(text).user == pacs
    assert (token.label, token.scope, token.prefix) == ("STOW", "full", text[:9])
    assert text not in str(list(Token.objects.values()))
    assert text not in str(list(AuditEntry.objects.values()))


def test_after_a_rotation_both_work_until_the_time_of_grace_is_over(
    keeper: User, pacs: User
) -> None:
    old, old_text = issued(keeper, pacs)
    new, new_text = services.rotate_token(actor=keeper, token=old, grace_hours=2)

    old.refresh_from_db()
    assert resolve_token(old_text).user == resolve_token(new_text).user == pacs
    assert old.replaced_by == new
    assert abs(old.expires_at - timezone.now() - dt.timedelta(hours=2)) < dt.timedelta(minutes=1)
    assert (new.scope, new.label, new.expires_at - new.created_at) == (
        "full",
        "STOW",
        dt.timedelta(days=90),
    )
    Token.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    remembered.clear()
    with pytest.raises(TokenRefused):
        resolve_token(old_text)
    assert resolve_token(new_text).user == pacs


def test_a_time_of_grace_never_makes_a_token_live_longer(keeper: User, pacs: User) -> None:
    old, _text = issued(keeper, pacs, days=1)

    services.rotate_token(actor=keeper, token=old, grace_hours=720)

    ends = old.expires_at
    old.refresh_from_db()
    assert old.expires_at == ends


def test_a_token_is_rotated_once_and_only_while_it_works(keeper: User, pacs: User) -> None:
    old, _text = issued(keeper, pacs)
    services.rotate_token(actor=keeper, token=old)
    with pytest.raises(TokenReplaced):
        services.rotate_token(actor=keeper, token=old)
    gone, _text = issued(keeper, pacs)
    services.revoke_token(actor=keeper, token=gone)

    with pytest.raises(TokenEnded):
        services.rotate_token(actor=keeper, token=gone)


@pytest.mark.django_db(transaction=True)
def test_of_two_rotations_at_once_one_is_refused(make_user: Any, hospital: Institution) -> None:
    keeper = make_user("keeper", "institution_admin", hospital)
    system = services.add_system(actor=keeper, institution=hospital, username="pacs", name="PACS")
    token, _text = issued(keeper, system)
    gate = threading.Barrier(3)
    answers: list[str] = []

    def rotate() -> None:
        gate.wait()
        try:
            services.rotate_token(actor=keeper, token=token)
            answers.append("rotated")
        except TokenReplaced:
            answers.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=rotate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["refused", "refused", "rotated"]
    assert Token.objects.count() == 2


def test_a_system_of_another_place_or_of_two_places_is_not_kept_here(
    keeper: User, pacs: User, make_user: Any, other_hospital: Institution
) -> None:
    far = make_user("far", "integrator", other_hospital)
    User.objects.filter(pk=far.pk).update(is_system=True)
    Membership.objects.create(
        user=pacs, role="integrator", institution=other_hospital, valid_from=today()
    )

    assert list(selectors.list_systems(actor=keeper)) == []
    for system in (pacs, far):
        with pytest.raises(SystemUnknown):
            issued(keeper, system)


def test_the_token_of_a_person_is_nobodys_to_keep(
    keeper: User, commission: User, make_user: Any, hospital: Institution
) -> None:
    from common.accounts.tokens import issue_token

    person = make_user("li", "radiologist", hospital)
    token, _text = issue_token(actor="test", user=person, days=1, scope="full")

    for actor in (keeper, commission, person):
        with pytest.raises(TokenUnknown):
            services.revoke_token(actor=actor, token=token)


@pytest.mark.parametrize(
    "more",
    [
        {"days": 0},
        {"days": 3651},
        {"days": -1},
        {"scope": "everything"},
        {"scope": ""},
        {"label": "x" * 101},
        {"label": "\x00"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(keeper: User, pacs: User, more: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        issued(keeper, pacs, **more)


@pytest.mark.parametrize("hours", [-1, 721, 10**12])
def test_the_time_of_grace_has_bounds(keeper: User, pacs: User, hours: int) -> None:
    token, _text = issued(keeper, pacs)

    with pytest.raises(FieldInvalid):
        services.rotate_token(actor=keeper, token=token, grace_hours=hours)


# REST


def test_the_keeper_makes_lists_rotates_and_withdraws_by_rest(at_work: Client, pacs: User) -> None:
    wish = {"account": "pacs", "scope": "full", "days": 30, "label": "night"}
    made = at_work.post(TOKENS, wish, content_type="application/json")
    assert made.status_code == 201
    assert resolve_token(made.json()["token"]).user == pacs

    rotated = at_work.post(
        f"{TOKENS}/{made.json()['id']}/rotate", {"grace_hours": 1}, content_type="application/json"
    ).json()
    listed = at_work.get(TOKENS, {"account": "pacs"}).json()["results"]
    assert [row["state"] for row in listed] == ["live", "replaced"]
    assert listed[1]["replaced_by"] == rotated["id"]
    assert "token" not in listed[0]

    assert at_work.delete(f"{TOKENS}/{rotated['id']}").status_code == 204
    assert at_work.get(f"{TOKENS}/{rotated['id']}").json()["state"] == "revoked"
    actions = AuditEntry.objects.filter(action__startswith="token.")
    assert list(actions.order_by("pk").values_list("action", flat=True)) == [
        "token.create", "token.rotate", "token.revoke",
    ]  # fmt: skip


def test_a_system_rotates_its_own_token_and_makes_no_other(keeper: User, pacs: User) -> None:
    _token, text = issued(keeper, pacs)
    client = Client(headers=of_bearer(text))
    own = client.get(TOKENS).json()["results"]
    assert [row["account"] for row in own] == ["pacs"]

    rotated = client.post(f"{TOKENS}/{own[0]['id']}/rotate", {}, content_type="application/json")
    asked = client.post(TOKENS, {"account": "pacs"}, content_type="application/json")

    assert rotated.status_code == 201
    assert asked.status_code == 403
    with pytest.raises(NotPermitted):
        issued(pacs, pacs)


def test_a_token_for_reading_rotates_nothing(keeper: User, pacs: User) -> None:
    token, text = issued(keeper, pacs, scope="read")

    answer = Client().post(
        f"{TOKENS}/{token.pk}/rotate", {}, content_type="application/json", headers=of_bearer(text)
    )

    assert answer.status_code == 403
    assert answer.json()["code"] == "token-reads-only"


@pytest.mark.parametrize("role", [None, "radiologist", "clinician", "auditor", "operator"])
def test_others_find_no_token(
    keeper: User, pacs: User, make_user: Any, hospital: Institution, role: str | None
) -> None:
    token, _text = issued(keeper, pacs)
    client = Client()
    place = hospital if role in {"radiologist", "clinician"} else None
    client.force_login(make_user("somebody", role, place))

    assert client.get(TOKENS).json()["results"] == []
    assert client.get(f"{TOKENS}/{token.pk}").status_code == 404
    assert client.delete(f"{TOKENS}/{token.pk}").status_code == 404
    made = client.post(TOKENS, {"account": "pacs"}, content_type="application/json")
    assert made.status_code == 404


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"account": "pacs", "days": 0},
        {"account": "pacs", "days": "x"},
        {"account": "pacs", "scope": "all"},
        {"account": "pacs", "label": "\x00"},
        {"account": ["pacs"]},
        [],
    ],
    ids=str,
)
def test_an_odd_wish_is_a_problem_document(at_work: Client, pacs: User, wish: Any) -> None:
    answer = at_work.post(TOKENS, wish, content_type="application/json")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


# Pages and command


def test_the_page_shows_a_new_token_once(at_work: Client, pacs: User) -> None:
    at_work.defaults["HTTP_ACCEPT"] = "text/html"
    page = at_work.post(
        reverse("hospitals:token-issue", args=["pacs"]),
        {"days": "30", "scope": "read", "label": "x"},
    ).content.decode()
    text = re.search(r"pic_[\w-]{43}", page)
    assert text
    assert resolve_token(text[0]).reads_only

    again = at_work.get(reverse("hospitals:system", args=["pacs"])).content.decode()
    assert text[0] not in again
    assert text[0][:9] in again

    rotated = at_work.post(
        reverse("hospitals:token-rotate", args=[Token.objects.get().pk]), {"grace_hours": "0"}
    ).content.decode()
    assert re.search(r"pic_[\w-]{43}", rotated)
    remembered.clear()
    with pytest.raises(TokenRefused):
        resolve_token(text[0])


@pytest.mark.parametrize("days", ["", "0", "x", "²", "9" * 30, "-1"])
def test_an_odd_number_of_days_makes_no_token(at_work: Client, pacs: User, days: str) -> None:
    at_work.post(reverse("hospitals:token-issue", args=["pacs"]), {"days": days, "scope": "read"})

    assert not Token.objects.exists()


def test_a_system_is_added_by_page_and_its_name_is_checked(
    at_work: Client, other_hospital: Institution
) -> None:
    address = reverse("hospitals:systems")
    assert at_work.post(address, {"username": "a b", "name": "PACS"}).status_code == 200
    at_work.post(address, {"username": "x", "name": "PACS", "institution": "H2"})
    assert not User.objects.filter(is_system=True).exists()

    assert at_work.post(address, {"username": "pacs", "name": "PACS"}).status_code == 302
    assert User.objects.get(username="pacs").is_system


def test_the_command_prints_a_token_and_nothing_else(pacs: User) -> None:
    out = StringIO()

    call_command("create_token", "pacs", stdout=out)

    assert re.fullmatch(r"pic_[\w-]{43}\n", out.getvalue())
    assert resolve_token(out.getvalue().strip()).user == pacs
