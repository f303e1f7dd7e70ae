"""The settings about people, mail and an OpenID provider are checked at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.env import BadEnvironment, Environment, read_environment
from tests.config.test_env import GOOD

PROVIDER = {
    "OIDC_ISSUER": "https://id.example.org/realms/province",
    "OIDC_CLIENT_ID": "imaging",
    "OIDC_CLIENT_SECRET": "a-secret",
}


def read(**more: str) -> Environment:
    return read_environment({**GOOD, **more}, root=Path("/nowhere"))


def test_without_any_of_them_nobody_logs_in_elsewhere_and_mail_goes_to_the_console() -> None:
    environment = read()

    assert environment.oidc is None
    assert environment.password_max_days == 0
    assert environment.mail.backend.endswith("console.EmailBackend")


def test_a_provider_is_read_into_types() -> None:
    provider = read(
        **PROVIDER,
        OIDC_SCOPES="profile, email",
        OIDC_UNKNOWN="provision",
        OIDC_SECOND_FACTOR="otp,mfa",
    ).oidc

    assert provider is not None
    assert provider.issuer == PROVIDER["OIDC_ISSUER"]
    assert provider.scopes == ("openid", "profile", "email")
    assert provider.provisions
    assert provider.second_factors == {"otp", "mfa"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_ISSUER", "http://id.example.org"),
        ("OIDC_ISSUER", "id.example.org"),
        ("OIDC_ISSUER", "https://id.example.org/?a=1"),
        ("OIDC_CLIENT_ID", ""),
        ("OIDC_CLIENT_SECRET", ""),
        ("OIDC_UNKNOWN", "allow"),
        ("OIDC_USERNAME_CLAIM", "email"),
        ("OIDC_USERNAME_CLAIM", "verified_Email"),
        ("PASSWORD_MAX_DAYS", "-1"),
        ("PASSWORD_MAX_DAYS", "many"),
        ("MAIL_URL", "mail.example.org:25"),
        ("MAIL_URL", "https://mail.example.org"),
        ("MAIL_FROM", "cloud"),
    ],
)
def test_what_cannot_be_is_named_at_the_start(name: str, value: str) -> None:
    with pytest.raises(BadEnvironment, match=name) as caught:
        read(**{**PROVIDER, name: value})

    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9"]
)
def test_plain_http_is_for_loopback_only(issuer: str) -> None:
    assert read(**{**PROVIDER, "OIDC_ISSUER": issuer}).oidc is not None


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("smtp://u:p%40ss@mail.example.org", 587, True, False),
        ("smtp://mail.example.org:25?starttls=0", 25, False, False),
        ("smtps://mail.example.org", 465, False, True),
    ],
)
def test_a_mail_server_is_read_from_its_address(
    url: str, port: int, starttls: bool, tls: bool
) -> None:
    mail = read(MAIL_URL=url).mail

    assert (mail.host, mail.port, mail.starttls, mail.tls) == (
        "mail.example.org",
        port,
        starttls,
        tls,
    )
    assert mail.password in {"", "p@ss"}
