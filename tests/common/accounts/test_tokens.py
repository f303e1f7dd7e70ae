"""Bearer tokens: kept as a digest, refused in time."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.accounts import tokens
from common.accounts.models import Token, User
from common.audit.models import AuditEntry


@pytest.fixture(autouse=True)
def _nothing_remembered():
    tokens.remembered.clear()
    yield
    tokens.remembered.clear()


@pytest.fixture
def system(db):
    return User.objects.create_user("his", is_system=True)


def token_of(user, **options):
    return tokens.create_token(actor="test", user=user, **options)


def test_a_token_names_its_account_and_only_its_digest_is_kept(system):
    text = token_of(system, scope="read")

    bearer = tokens.resolve_token(text)

    stored = Token.objects.get()
    assert (bearer.user, bearer.reads_only) == (system, True)
    assert bytes(stored.digest) == hashlib.sha256(text.encode()).digest()
    assert stored.prefix == text[:9]
    assert len(text) >= 47
    assert text not in str(AuditEntry.objects.values_list())


@pytest.mark.parametrize("text", ["", "nonsense", "pic_" + "x" * 43])
def test_an_unknown_token_is_refused(system, text):
    with pytest.raises(tokens.TokenRefused):
        tokens.resolve_token(text)


@pytest.mark.parametrize(
    "withdraw",
    [
        lambda user: tokens.revoke_token(actor="test", token=Token.objects.get()),
        lambda user: User.objects.update(is_active=False),
        lambda user: user.delete(),
    ],
    ids=["revoked", "account-closed", "account-deleted"],
)
def test_a_withdrawn_right_works_within_five_seconds(system, withdraw, monkeypatch):
    text = token_of(system)
    tokens.resolve_token(text)
    withdraw(system)
    clock = tokens.time.monotonic()
    monkeypatch.setattr(tokens.time, "monotonic", lambda: clock + 4.9)

    with pytest.raises(tokens.TokenRefused):
        tokens.resolve_token(text)


def test_an_expired_token_is_refused_at_once_though_remembered(system, monkeypatch):
    text = token_of(system)
    Token.objects.update(expires_at=timezone.now() + timedelta(milliseconds=50))
    assert tokens.resolve_token(text)
    clock = tokens.time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: clock + 0.1)
    Token.objects.update(expires_at=timezone.now() - timedelta(microseconds=1))

    with pytest.raises(tokens.TokenRefused):
        tokens.resolve_token(text)


def test_a_row_of_frames_costs_one_look_up(system, django_assert_num_queries):
    text = token_of(system)
    tokens.resolve_token(text)

    with django_assert_num_queries(0):
        again = tokens.resolve_token(text)

    assert again.user == system


def test_what_a_request_remembers_on_its_user_does_not_reach_the_next(system):
    text = token_of(system)
    tokens.resolve_token(text).user.remembered_here = True

    assert not hasattr(tokens.resolve_token(text).user, "remembered_here")


def test_the_last_use_is_noted_to_the_minute(system):
    text = token_of(system)
    tokens.resolve_token(text)
    first = Token.objects.get().last_used_at
    tokens.remembered.clear()

    tokens.resolve_token(text)

    assert first is not None
    assert Token.objects.get().last_used_at == first


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(
            {"expires_at": timezone.now() - timedelta(days=9999)}, id="token_ends_after_it_begins"
        ),
        pytest.param({"scope": "all"}, id="token_scope_is_known"),
    ],
)
def test_the_constraints_hold(system, values, request):
    token_of(system)

    with pytest.raises(IntegrityError, match=request.node.callspec.id), transaction.atomic():
        Token.objects.update(**values)


def test_the_command_prints_the_token_and_nothing_else(system):
    out = io.StringIO()

    call_command("create_token", "his", "--days", "3", "--scope", "read", stdout=out)

    (line,) = out.getvalue().splitlines()
    assert tokens.resolve_token(line).user == system
    stored = Token.objects.get()
    assert stored.expires_at - stored.created_at == timedelta(days=3)
    assert stored.scope == "read"


@pytest.mark.parametrize(("name", "text"), [("nobody", "no account"), ("gone", "not active")])
def test_the_command_says_why_there_is_no_token(db, name, text):
    User.objects.create_user("gone", is_active=False)

    with pytest.raises(CommandError, match=text):
        call_command("create_token", name)
