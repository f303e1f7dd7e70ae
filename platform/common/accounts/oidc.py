"""Logging in at an OpenID provider (OpenID Connect Core 1.0, authorization code flow with PKCE; ADR 0023)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from joserfc.errors import JoseError

from common import audit
from common.accounts.models import OutsideIdentity, User
from common.errors import DomainError, Kind

_TIMEOUT_S = 10


class ProviderFailed(DomainError):
    """The provider of log-ins did not answer as it should. Try again, or log in with your password."""

    code = "provider-failed"
    kind = Kind.UPSTREAM


class LoginNotProved(DomainError):
    """What the provider answered does not belong to this log-in. Begin again at the log-in page."""

    code = "login-not-proved"


class PersonNotKnown(DomainError):
    """The provider knows you, and no account here is linked with you. Ask your administrator for an invitation."""

    code = "person-not-known"
    kind = Kind.NOT_PERMITTED


class IdentityTaken(DomainError):
    """This account, or this identity at the provider, is linked with another one already."""

    code = "identity-taken"
    kind = Kind.CONFLICT


@dataclass(frozen=True)
class Claims:
    """What the provider said of a person, after its signature, issuer, audience, nonce and time were checked."""

    subject: str
    username: str
    name: str
    second_factor: bool


def begin(request: HttpRequest, *, redirect_uri: str) -> HttpResponse:
    """To the provider, with state, nonce and PKCE challenge that the session remembers.

    Raises:
        ProviderFailed: it cannot be reached, or says that it is somebody else.
    """
    try:
        client = _client(_provider())
        _load(client)
        response: HttpResponse = client.authorize_redirect(request, redirect_uri)
    except (AuthlibBaseError, requests.RequestException, RuntimeError, ValueError) as error:
        raise ProviderFailed from error
    return response


def finish(request: HttpRequest) -> Claims:
    """What the provider says of the person who came back from it.

    Raises:
        LoginNotProved: state, nonce, issuer, audience, time or signature is not right, or the person declined.
        ProviderFailed: it cannot be reached.
    """
    provider = _provider()
    checks = {
        "iss": {"essential": True, "values": [provider.issuer]},
        "aud": {"essential": True, "values": [provider.client_id]},
        "nonce": {"essential": True},
    }
    try:
        client = _client(provider)
        _load(client)
        token = client.authorize_access_token(request, claims_options=checks)
        claims = _with_userinfo(client, token)
    except requests.RequestException as error:
        raise ProviderFailed from error
    except (AuthlibBaseError, JoseError, ValueError, KeyError) as error:
        raise LoginNotProved from error
    if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
        raise LoginNotProved
    return Claims(
        subject=claims["sub"],
        username=_text(claims, provider.username_claim or "preferred_username", 150),
        name=_text(claims, "name", 150),
        second_factor=_shown(claims, provider.second_factors),
    )


def account_of(claims: Claims) -> User:
    """The account of the person: linked before, or now where the settings say so.

    An account that is there is found by the claim that ``OIDC_USERNAME_CLAIM`` names, once; from then on only
    issuer and subject count. An e-mail address never finds one.

    Raises:
        PersonNotKnown: no account, or one that is closed, and none is to be made.
        IdentityTaken: the account is linked with somebody else at this provider.
    """
    provider = _provider()
    known = OutsideIdentity.objects.select_related("user").filter(
        issuer=provider.issuer, subject=claims.subject
    )
    identity = known.first()
    if identity is None:
        user = _named(claims) or _made(claims)
        identity = link(user=user, subject=claims.subject)
    if not identity.user.is_active or identity.user.is_system:
        raise PersonNotKnown
    OutsideIdentity.objects.filter(pk=identity.pk).update(last_used_at=timezone.now())
    return identity.user


def link(*, user: User, subject: str) -> OutsideIdentity:
    """Let this identity at the provider open this account.

    Raises:
        IdentityTaken: either is linked with another one.
    """
    issuer = _provider().issuer
    try:
        with transaction.atomic():
            identity, new = OutsideIdentity.objects.select_related("user").get_or_create(
                user=user, issuer=issuer, subject=subject
            )
    except IntegrityError as error:
        raise IdentityTaken from error
    if new:
        audit.record(user, "identity.link", obj=user, detail={"issuer": issuer})
    return identity


def unlink(*, user: User) -> bool:
    """The provider no longer opens this account; False where it did not."""
    issuer = _provider().issuer
    gone, _rows = OutsideIdentity.objects.filter(user=user, issuer=issuer).delete()
    if gone:
        audit.record(user, "identity.unlink", obj=user, detail={"issuer": issuer})
    return bool(gone)


def _with_userinfo(client: Any, token: Any) -> dict[str, Any]:
    """The claims of the ID token, and those that the provider gives at its UserInfo endpoint only (OIDC Core 5.3, 5.4).

    Raises:
        ValueError: no ID token, or UserInfo speaks of somebody else (5.3.2).
    """
    claims = token.get("userinfo")
    if not claims:
        raise ValueError("no ID token")
    if not client.server_metadata.get("userinfo_endpoint"):
        return dict(claims)
    more = client.userinfo(token=token)
    if more.get("sub") != claims.get("sub"):
        raise ValueError("UserInfo is somebody else's")
    return {**more, **claims}


def _named(claims: Claims) -> User | None:
    if not _provider().username_claim or not claims.username:
        return None
    return User.objects.filter(
        username=claims.username, is_active=True, is_system=False, is_superuser=False
    ).first()


@transaction.atomic
def _made(claims: Claims) -> User:
    """A new account without any right."""
    if not _provider().provisions:
        raise PersonNotKnown
    user = User(username=_free_name(claims), first_name=claims.name)
    user.set_unusable_password()
    try:
        user.full_clean()
    except ValidationError as error:
        raise PersonNotKnown from error
    user.save()
    audit.record("oidc", "account.create", obj=user, detail={"is_system": False})
    return user


def _free_name(claims: Claims) -> str:
    taken = User.objects.filter(username=claims.username).exists()
    fits = claims.username and User.username_validator.regex.search(claims.username)  # type: ignore[union-attr]
    if fits and not taken and not claims.username.startswith("demo-"):
        return claims.username
    return f"oidc-{hashlib.sha256(claims.subject.encode()).hexdigest()[:12]}"


def _text(claims: Any, name: str, most: int) -> str:
    value = claims.get(name)
    return value[:most] if isinstance(value, str) and "\x00" not in value else ""


def _shown(claims: Any, wanted: frozenset[str]) -> bool:
    """Whether the provider says, in a word that the operator trusts, that it saw a second factor."""
    methods = claims.get("amr")
    said = {claims.get("acr"), *(methods if isinstance(methods, list) else [])}
    return bool(wanted & {word for word in said if isinstance(word, str)})


def _provider() -> Any:
    """``config.env_people.Provider``; the views answer 404 where there is none."""
    return settings.OIDC


@lru_cache(maxsize=4)
def _client(provider: Any) -> Any:
    """One for each provider of this process: it remembers where the provider's endpoints and keys are."""
    return OAuth().register(
        "oidc",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": " ".join(provider.scopes),
            "code_challenge_method": "S256",
            "default_timeout": _TIMEOUT_S,
        },
    )


def _load(client: Any) -> None:
    """Fetch what the provider says of itself; it must be the one of the settings (OIDC Discovery 4.3)."""
    if client.load_server_metadata().get("issuer") != _provider().issuer:
        _client.cache_clear()
        raise ProviderFailed
