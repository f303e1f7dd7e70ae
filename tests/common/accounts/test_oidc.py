"""Logging in at a real OpenID provider: who is let in, as whom, and who is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from common.accounts import oidc
from common.accounts.models import OutsideIdentity, User
from common.audit.models import AuditEntry
from tests.common.accounts.test_second_factor import PASSWORD, code_of, set_up
from tests.support.openid import OpenProvider, walk

pytestmark = [pytest.mark.django_db, pytest.mark.one_factor]


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    clear = oidc._client.cache_clear
    clear()
    yield
    clear()


@pytest.fixture
def client() -> Client:
    return Client(headers={"Accept": "text/html", "Accept-Language": "en"})


@pytest.fixture
def reader() -> User:
    return User.objects.create_user("reader", password=PASSWORD, email="reader@example.org")


def log_in(client: Client, login: str, next_url: str = "", **given: str) -> Any:
    """From our log-in page to the provider and back; what we answer then."""
    there = client.get("/accounts/oidc/", {"next": next_url})
    assert there.status_code == 302, there.content.decode()
    return client.get(walk(there["Location"], login=login, **given))


def linked(user: User, subject: str, issuer: str) -> None:
    OutsideIdentity.objects.create(user=user, issuer=issuer, subject=subject)


def is_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def test_without_the_setting_there_is_no_such_way_in(client: Client, settings: Any) -> None:
    settings.OIDC = None

    for name in ("", "back"):
        assert client.get(f"/accounts/oidc/{name}").status_code == 404
    assert "oidc" not in client.get("/accounts/login/").content.decode()


def test_a_linked_person_logs_in_and_goes_where_they_wanted(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    linked(reader, "s-1", open_provider().issuer)
    page = client.get("/accounts/login/?next=/studies/").content.decode()
    assert 'href="/accounts/oidc/?next=/studies/"' in page

    answer = log_in(client, "s-1", next_url="/studies/")

    assert answer["Location"] == "/studies/"
    assert is_in(client)
    entry = AuditEntry.objects.get(action="login")
    assert (entry.actor_id, entry.result, entry.detail["by"]) == (reader.pk, "success", "oidc")


def test_the_request_carries_state_nonce_and_a_challenge(
    client: Client, open_provider: OpenProvider
) -> None:
    open_provider()

    asked = parse_qs(urlsplit(client.get("/accounts/oidc/")["Location"]).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert {"state", "nonce", "code_challenge"} <= set(asked)


def test_a_stranger_is_refused_and_gets_no_account(
    client: Client, open_provider: OpenProvider
) -> None:
    open_provider()

    answer = log_in(client, "s-2", username="new")

    assert answer.status_code == 403
    assert "invitation" in answer.content.decode()
    assert not User.objects.exists()
    assert AuditEntry.objects.get(action="login").result == "refused"


def test_where_a_setting_says_so_a_stranger_gets_an_account_without_rights(
    client: Client, open_provider: OpenProvider
) -> None:
    open_provider(provisions=True)

    assert log_in(client, "s-3", username="wang").status_code == 302

    user = User.objects.get()
    assert (user.username, user.first_name) == ("wang", "Person s-3")
    assert not user.has_usable_password()
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert not user.memberships.exists()
    assert client.get("/people/").status_code == 403
    assert client.get("/accounts/password/").status_code == 403


@pytest.mark.parametrize("name", ["reader", "", "a b", "demo-commission", "<b>"])
def test_a_new_account_never_takes_the_name_of_another(
    client: Client, reader: User, open_provider: OpenProvider, name: str
) -> None:
    open_provider(provisions=True)

    log_in(client, "s-4", username=name)

    made = User.objects.exclude(pk=reader.pk).get()
    assert made.username.startswith("oidc-")
    assert OutsideIdentity.objects.get().user == made


@pytest.mark.parametrize("provisions", [True, False])
def test_an_e_mail_address_opens_nobodys_account(
    client: Client, reader: User, open_provider: OpenProvider, provisions: bool
) -> None:
    open_provider(provisions=provisions)

    log_in(client, "s-5", email="reader@example.org")

    assert not OutsideIdentity.objects.filter(user=reader).exists()


def test_a_claim_that_the_provider_keeps_finds_an_account_once(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    open_provider(username_claim="preferred_username")

    assert log_in(client, "s-6", username="reader").status_code == 302
    # From now on the subject counts: neither its new name nor a new owner of the old one.
    assert log_in(Client(), "s-6", username="somebody-else").status_code == 302
    stranger = log_in(Client(headers={"Accept": "text/html"}), "s-7", username="reader")

    assert stranger.status_code == 409
    assert OutsideIdentity.objects.get().subject == "s-6"


@pytest.mark.parametrize("kind", ["superuser", "system", "closed"])
def test_a_claim_never_finds_these(client: Client, open_provider: OpenProvider, kind: str) -> None:
    user = User.objects.create_user("root", password=PASSWORD)
    User.objects.update(
        is_superuser=kind == "superuser", is_system=kind == "system", is_active=kind != "closed"
    )
    open_provider(username_claim="preferred_username")

    assert log_in(client, "s-8", username="root").status_code == 403
    assert not user.outside_identities.exists()


def test_a_closed_account_stays_closed(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    linked(reader, "s-9", open_provider().issuer)
    User.objects.update(is_active=False)

    assert log_in(client, "s-9").status_code == 403
    assert not is_in(client)


def test_our_second_factor_is_asked_for_after_the_provider(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    linked(reader, "s-10", open_provider().issuer)
    set_up(reader)

    assert log_in(client, "s-10")["Location"] == "/accounts/code/"
    assert not is_in(client)
    client.post("/accounts/code/", {"code": code_of(reader)})

    assert is_in(client)


@pytest.mark.parametrize(
    ("said", "verified"),
    [
        ({"amr": "pwd otp"}, True),
        ({"acr": "urn:strong"}, True),
        ({"amr": "pwd"}, False),
        ({"acr": "urn:weak"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_second_factor_at_the_provider_counts_where_the_setting_names_it(
    client: Client, open_provider: OpenProvider, said: dict[str, str], verified: bool
) -> None:
    root = User.objects.create_superuser("root", password=PASSWORD)
    provider = open_provider(second_factors=frozenset({"otp", "urn:strong"}))
    linked(root, "s-11", provider.issuer)

    log_in(client, "s-11", **said)

    answer = client.get("/people/")
    assert answer.status_code == (200 if verified else 302)
    if not verified:
        assert answer["Location"] == "/accounts/second-factor/"


def test_without_the_setting_the_providers_word_counts_for_nothing(
    client: Client, open_provider: OpenProvider
) -> None:
    root = User.objects.create_superuser("root", password=PASSWORD)
    linked(root, "s-12", open_provider().issuer)

    log_in(client, "s-12", amr="pwd otp")

    assert client.get("/people/").status_code == 302


def test_what_was_meant_for_another_browser_opens_nothing(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    linked(reader, "s-13", open_provider().issuer)
    back = walk(client.get("/accounts/oidc/")["Location"], login="s-13")
    victim = Client(headers={"Accept": "text/html"})
    victim.get("/accounts/oidc/")

    assert victim.get(back).status_code == 400
    assert not is_in(victim)


def test_the_way_back_works_once(client: Client, reader: User, open_provider: OpenProvider) -> None:
    linked(reader, "s-14", open_provider().issuer)
    back = walk(client.get("/accounts/oidc/")["Location"], login="s-14")
    assert client.get(back).status_code == 302
    client.post("/accounts/logout/")

    assert client.get(back).status_code == 400
    assert not is_in(client)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=x",
        "state=x",
        "code=x&state=x",
        "error=access_denied",
        "code=" + "x" * 9000,
        "state[]=1",
    ],
)
def test_an_odd_way_back_is_refused(
    client: Client, open_provider: OpenProvider, query: str
) -> None:
    open_provider()
    client.get("/accounts/oidc/")

    assert client.get(f"/accounts/oidc/back?{query}").status_code == 400
    assert not is_in(client)


def test_a_person_who_declines_comes_back_to_a_plain_answer(
    client: Client, open_provider: OpenProvider
) -> None:
    open_provider()
    state = parse_qs(urlsplit(client.get("/accounts/oidc/")["Location"]).query)["state"][0]

    answer = client.get(f"/accounts/oidc/back?error=access_denied&state={state}")

    assert answer.status_code == 400


def test_a_provider_that_says_it_is_another_is_not_asked(
    client: Client, open_provider: OpenProvider, settings: Any
) -> None:
    provider = open_provider()
    settings.OIDC = dataclasses.replace(provider, issuer=f"{provider.issuer}/")

    assert client.get("/accounts/oidc/").status_code == 502


def test_a_provider_that_is_away_is_said(
    client: Client, open_provider: OpenProvider, settings: Any
) -> None:
    settings.OIDC = dataclasses.replace(open_provider(), issuer="http://127.0.0.1:9")

    answer = client.get("/accounts/oidc/")

    assert answer.status_code == 502
    assert "password" in answer.content.decode()


def test_a_token_for_another_client_is_refused(
    client: Client,
    reader: User,
    open_provider: OpenProvider,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = open_provider()
    linked(reader, "s-15", provider.issuer)
    back = walk(client.get("/accounts/oidc/")["Location"], login="s-15")
    # The audience that we look for is no longer the one that the provider wrote.
    held = oidc._client(provider)
    monkeypatch.setattr(oidc, "_client", lambda _provider: held)
    settings.OIDC = dataclasses.replace(provider, client_id="somebody-else")

    assert client.get(back).status_code == 400
    assert not is_in(client)


def test_a_token_with_another_nonce_is_refused(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    linked(reader, "s-16", open_provider().issuer)
    back = walk(client.get("/accounts/oidc/")["Location"], login="s-16")
    session = client.session
    for name in [name for name, _held in session.items() if name.startswith("_state_")]:
        session[name]["data"]["nonce"] = "another"
        session[name] = session[name]
    session.save()

    assert client.get(back).status_code == 400
    assert not is_in(client)


def test_the_owner_links_the_account_and_takes_the_link_away(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    open_provider()
    client.force_login(reader)
    assert "/accounts/oidc/" in client.post("/accounts/oidc/link").content.decode()
    log_in(client, "s-17")
    assert OutsideIdentity.objects.get().user == reader
    other = Client()
    log_in(other, "s-17")
    assert is_in(other)

    client.post("/accounts/oidc/unlink")

    assert not OutsideIdentity.objects.exists()
    actions = AuditEntry.objects.filter(action__startswith="identity.")
    assert list(actions.values_list("action", flat=True)) == ["identity.link", "identity.unlink"]


def test_coming_back_without_having_asked_links_nothing(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    """Another's page can send a reader to the provider and back, and must not have an identity linked by it."""
    open_provider()
    client.force_login(reader)

    answer = log_in(client, "of-a-stranger")

    assert answer.status_code == 403
    assert not OutsideIdentity.objects.exists()


def test_an_identity_opens_one_account_only(
    client: Client, reader: User, open_provider: OpenProvider
) -> None:
    provider = open_provider()
    linked(User.objects.create_user("other"), "s-18", provider.issuer)
    client.force_login(reader)
    client.post("/accounts/oidc/link")

    assert log_in(client, "s-18").status_code == 409
    assert OutsideIdentity.objects.get().user.username == "other"


def test_the_only_way_in_is_not_taken_away(client: Client, open_provider: OpenProvider) -> None:
    open_provider(provisions=True)
    log_in(client, "s-19")

    client.post("/accounts/oidc/unlink")

    assert OutsideIdentity.objects.count() == 1
