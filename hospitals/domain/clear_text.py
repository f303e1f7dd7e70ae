"""Whether credentials would be sent where anybody on the way can read them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

# A client certificate never leaves its owner; the others are sent with each request.
_SENT = frozenset({"basic", "bearer", "oauth2"})


def sends_credentials_in_clear(auth: str, *urls: str) -> bool:
    """True for http to another machine with an authentication that sends a secret."""
    return auth in _SENT and any(_is_open(url) for url in urls)


def _is_open(url: str) -> bool:
    parts = urlsplit(url.strip())
    return parts.scheme.lower() == "http" and not _is_this_machine(parts.hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
