"""Closed by default: a stranger walks the whole URL map."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

# The only views that strangers reach. A new name here is a decision, not a fix.
PUBLIC = {
    "healthz",
    "readyz",
    "metrics",
    "accounts:login",
    "accounts:logout",
    "accounts:code",  # the second factor of somebody who has shown the first
    "hospitals:join",  # what the one-time link of an invitation opens
    "accounts:oidc",
    "accounts:oidc-back",
    "set_language",
    # One-time codes and signed forms of order-entry systems, and what they lead to (ADR 0028).
    "sharing:launch",
    "sharing:launch-signed",
    "sharing:launch-ready",
    "sharing:launch-end",
}
SAMPLES = {
    "int": "1",
    "slug": "x",
    "str": "x",
    "path": "x",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def routes(
    patterns: list[URLPattern | URLResolver], prefix: str = "/", space: str = ""
) -> Iterator[tuple[str, str]]:
    """Name and a sample address of every route."""
    for entry in patterns:
        address = prefix + sample(entry)
        if isinstance(entry, URLResolver):
            inner = f"{space}{entry.namespace}:" if entry.namespace else space
            yield from routes(entry.url_patterns, address, inner)
        else:
            yield f"{space}{entry.name}", address


def sample(entry: URLPattern | URLResolver) -> str:
    """An address that the pattern matches; Django's own administration uses regular expressions."""
    text = str(entry.pattern)
    for name, converter in entry.pattern.converters.items():
        kind = next(
            kind
            for kind in SAMPLES
            if kind in type(converter).__name__.lower().replace("string", "str")
        )
        for spelling in (f"<{kind}:{name}>", f"<{name}>"):
            text = text.replace(spelling, SAMPLES[kind])
    return text


ROUTES = [
    (name, address)
    for name, address in routes(get_resolver().url_patterns)
    if not any(letter in address for letter in "^(\\<")
]


def test_the_walk_sees_every_part_of_the_map() -> None:
    starts = {address.split("/")[1] for _name, address in ROUTES}

    assert {"dicom-web", "api", "viewer", "admin", "studies", "hospitals", "healthz"} <= starts


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(("name", "address"), ROUTES)
def test_a_stranger_is_turned_away(client: Client, name: str, address: str, method: str) -> None:
    answer = getattr(client, method)(address)

    assert answer.headers["Content-Type"]
    if name in PUBLIC:
        assert answer.status_code not in {401, 403}
    elif answer.status_code == 302:
        assert "login" in answer.headers["Location"]
    else:
        assert answer.status_code in {401, 403}, address


@pytest.mark.django_db
def test_an_address_that_does_not_exist_tells_a_stranger_nothing(client: Client) -> None:
    assert client.get("/no/such/place").status_code in {302, 401, 404}
