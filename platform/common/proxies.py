"""What proxies say of the request that reached them: scheme, host, port, and the prefix we are mounted at.

RFC 7239 ``Forwarded`` and the ``X-Forwarded-…`` headers. Believed only from ``TRUSTED_PROXIES``; from anybody else
they are taken away. Works on the WSGI environment, before Django makes a request of it, so that every address
that is built, in pages and in answers, is the one under which the caller reaches us.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Environ = dict[str, Any]

_SPOKEN = (
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
)
# What a proxy adds that says nothing of the above.
_OF_PROXIES = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]*))\s*')
_USUAL = {"http": "80", "https": "443"}
_MAX_CHARS = 4_096


class TrustedProxies:
    """Wraps a WSGI application."""

    def __init__(
        self, application: Callable[..., Iterable[bytes]], trusted: Sequence[Network]
    ) -> None:
        self._application = application
        self._trusted = tuple(trusted)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if any(name in environ for name in (*_SPOKEN, "HTTP_FORWARDED")):
            if is_trusted(str(environ.get("REMOTE_ADDR") or ""), self._trusted):
                self._believe(environ)
            else:
                for name in _SPOKEN:
                    environ.pop(name, None)
        elif not any(name in environ for name in _OF_PROXIES):
            _complete(environ)
        return self._application(environ, start_response)

    def _believe(self, environ: Environ) -> None:
        # A proxy that writes the X- headers passes on the standard one as the caller sent it.
        older = any(name in environ for name in _SPOKEN)
        said = {} if older else self._forwarded(str(environ.get("HTTP_FORWARDED", "")))
        proto = (said.get("proto") or _last(environ, "HTTP_X_FORWARDED_PROTO")).lower()
        host = said.get("host") or _last(environ, "HTTP_X_FORWARDED_HOST")
        port = _last(environ, "HTTP_X_FORWARDED_PORT")
        if proto in _USUAL:
            environ["wsgi.url_scheme"] = environ["HTTP_X_FORWARDED_PROTO"] = proto
        else:
            environ.pop("HTTP_X_FORWARDED_PROTO", None)
        _name(environ, host, port)
        _mount(environ, _last(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/"))

    def _forwarded(self, text: str) -> dict[str, str]:
        """What the outermost of our proxies was told (RFC 7239 §4): elements before it are the caller's own."""
        elements = [_pairs(element) for element in _split(text[:_MAX_CHARS])]
        while len(elements) > 1 and is_trusted(
            _address(elements[-1].get("for", "?")), self._trusted
        ):
            elements.pop()
        return elements[-1] if elements else {}


def is_trusted(address: str, trusted: Iterable[Network]) -> bool:
    """Whether a peer is one of our proxies; one without an address came by a socket of this machine."""
    if not address:
        return any(network.is_loopback for network in trusted)
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return any(found in network for network in trusted)


def _last(environ: Environ, name: str) -> str:
    return str(environ.get(name, "")).rpartition(",")[2].strip()


def _split(text: str) -> list[str]:
    """Elements by comma, where it stands outside of quotes."""
    return [each for each in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', text) if each.strip()]


def _pairs(element: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted, plain in _PAIR.findall(element):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else plain)
    return found


def _address(node: str) -> str:
    """The address of a node identifier (RFC 7239 §6), without its port."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] or "?"


def _name(environ: Environ, host: str, port: str) -> None:
    """The host that the caller named, with the port under which it reaches us; checked by ALLOWED_HOSTS later."""
    named = host or str(environ.get("HTTP_HOST", ""))
    found = _HOST.fullmatch(named)
    if found is None:
        return
    scheme = str(environ["wsgi.url_scheme"])
    port = port if port.isdigit() and len(port) <= 5 else ""
    if not found[1] and port and port != _USUAL[scheme]:
        named = f"{named}:{port}"
    environ["HTTP_HOST"] = named
    environ["SERVER_PORT"] = found[1] or port or _USUAL[scheme]


def _complete(environ: Environ) -> None:
    """The port that the caller connected to, where its Host leaves it out against RFC 9110 §7.2.

    dicomweb-client does, and would look for bulk data on another port than the one that it asked.
    """
    named, port = str(environ.get("HTTP_HOST", "")), str(environ.get("SERVER_PORT", ""))
    found = _HOST.fullmatch(named)
    if found and not found[1] and port.isdigit() and port != _USUAL[environ["wsgi.url_scheme"]]:
        environ["HTTP_HOST"] = f"{named}:{port}"


def _mount(environ: Environ, prefix: str) -> None:
    """The path in front of all of ours; a proxy may have taken it off the address or left it there."""
    if not _PREFIX.fullmatch(prefix):
        return
    path = str(environ.get("PATH_INFO", ""))
    if path == prefix or path.startswith(prefix + "/"):
        environ["PATH_INFO"] = path[len(prefix) :] or "/"
    environ["SCRIPT_NAME"] = prefix
