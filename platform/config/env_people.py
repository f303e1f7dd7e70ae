"""The settings about people: passwords, mail, and an OpenID provider. Read by ``config.env``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Provider:
    """An OpenID provider that people may log in with (OpenID Connect Core 1.0)."""

    issuer: str
    client_id: str
    client_secret: str
    name: str
    scopes: tuple[str, ...]
    username_claim: str
    provisions: bool
    second_factors: frozenset[str]


@dataclass(frozen=True)
class Mail:
    """How mail leaves: a server, or the console of the process."""

    backend: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False


def read_people(get: Callable[..., Any], faults: list[str]) -> dict[str, object]:
    """The values of these settings, by field of ``Environment``; what is wrong is added to the faults."""
    return {
        "password_max_days": get(
            "PASSWORD_MAX_DAYS", _days, 0, expected="days after which a password ends; 0: never"
        ),
        "mail": get(
            "MAIL_URL",
            _mail_url,
            _mail_url("console:"),
            expected="smtp://USER:PASSWORD@HOST:PORT, smtps://…, or console:",
        ),
        "mail_from": get(
            "MAIL_FROM", _mail_from, "imaging-cloud@localhost", expected="an e-mail address"
        ),
        "oidc": _provider(get, faults),
    }


def _provider(get: Callable[..., Any], faults: list[str]) -> Provider | None:
    issuer = get("OIDC_ISSUER", _issuer, "", expected="an https:// address")
    provider = Provider(
        issuer=cast("str", issuer),
        client_id=get("OIDC_CLIENT_ID", str, "", expected="the name we have at the provider"),
        client_secret=get("OIDC_CLIENT_SECRET", str, "", expected="what the provider gave us"),
        name=get("OIDC_NAME", str, "OpenID", expected="what the button says"),
        scopes=get("OIDC_SCOPES", _scopes, ("openid", "profile"), expected="words, by comma"),
        username_claim=get(
            "OIDC_USERNAME_CLAIM", _claim, "", expected="the name of a claim, never an e-mail's"
        ),
        provisions=get("OIDC_UNKNOWN", _unknown, False, expected="refuse, provision"),
        second_factors=frozenset(
            get("OIDC_SECOND_FACTOR", _words, (), expected="values of acr or amr, by comma")
        ),
    )
    if not issuer:
        return None
    for name, value in (
        ("OIDC_CLIENT_ID", provider.client_id),
        ("OIDC_CLIENT_SECRET", provider.client_secret),
    ):
        if not value:
            faults.append(f"{name}: missing; OIDC_ISSUER is set and cannot do without")
    return provider


def _days(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("a negative number")
    return number


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _scopes(value: str) -> tuple[str, ...]:
    words = _words(value)
    return words if "openid" in words else ("openid", *words)


def _claim(value: str) -> str:
    # At many providers people write their own e-mail address: it would open whose account they like.
    if "mail" in value.lower():
        raise ValueError("an e-mail address proves no account")
    return value


def _unknown(value: str) -> bool:
    if value not in {"refuse", "provision"}:
        raise ValueError("neither refuse nor provision")
    return value == "provision"


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.query or parts.fragment or not parts.hostname:
        raise ValueError("not the address of an issuer")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("not https (plain http is for this machine's loopback only)")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _mail_url(value: str) -> Mail:
    if value == "console:":
        return Mail("django.core.mail.backends.console.EmailBackend")
    parts = urlsplit(value)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("not the address of a mail server")
    plain = parse_qs(parts.query).get("starttls", ["1"])[0] == "0"
    return Mail(
        "django.core.mail.backends.smtp.EmailBackend",
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls=parts.scheme == "smtp" and not plain,
        tls=parts.scheme == "smtps",
    )


def _mail_from(value: str) -> str:
    if "@" not in value:
        raise ValueError("no @ in it")
    return value
