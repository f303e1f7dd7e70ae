"""Behind proxies: what they say is believed from those that are trusted, and from nobody else."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from common.proxies import TrustedProxies

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]


def passed(headers: dict[str, str], *, address: str = "127.0.0.1", path: str = "/x") -> Any:
    """The environment that the application sees."""
    environ: dict[str, Any] = {
        "REMOTE_ADDR": address,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "HTTP_HOST": "inner:8000",
        "SERVER_PORT": "8000",
        "wsgi.url_scheme": "http",
    }
    environ |= {"HTTP_" + name.upper().replace("-", "_"): text for name, text in headers.items()}
    TrustedProxies(lambda environ, start: [], LOOPBACK)(environ, lambda *_: None)
    return environ


def seen(environ: dict[str, Any]) -> tuple[str, ...]:
    names = ("wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "SCRIPT_NAME", "PATH_INFO")
    return tuple(environ[name] for name in names)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, ("http", "inner:8000", "8000", "", "/x"), id="no proxy"),
        pytest.param(
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cloud.example"},
            ("https", "cloud.example", "443", "", "/x"),
            id="host and scheme",
        ),
        pytest.param(
            {"X-Forwarded-Host": "cloud.example", "X-Forwarded-Port": "8443"},
            ("http", "cloud.example:8443", "8443", "", "/x"),
            id="another port",
        ),
        pytest.param(
            {"X-Forwarded-Host": "cloud.example:9000", "X-Forwarded-Port": "8443"},
            ("http", "cloud.example:9000", "9000", "", "/x"),
            id="the host's own port goes first",
        ),
        pytest.param(
            {"X-Forwarded-Prefix": "/imaging/"},
            ("http", "inner:8000", "8000", "/imaging", "/x"),
            id="prefix taken off by the proxy",
        ),
        pytest.param(
            {
                "X-Forwarded-Host": "cloud.example",
                "Forwarded": "host=said.by.the.caller;proto=https",
            },
            ("http", "cloud.example", "80", "", "/x"),
            id="a standard header that the proxy only passes on",
        ),
        pytest.param(
            {"Forwarded": 'for=192.0.2.1;proto=https;host="cloud.example:8443"'},
            ("https", "cloud.example:8443", "8443", "", "/x"),
            id="RFC 7239",
        ),
        pytest.param(
            {"Forwarded": 'host=spoofed.example, for=192.0.2.1;host="cloud.example"'},
            ("http", "cloud.example", "80", "", "/x"),
            id="RFC 7239: what the caller itself wrote does not count",
        ),
        pytest.param(
            {"Forwarded": "for=192.0.2.1;host=cloud.example, for=127.0.0.1;host=middle.example"},
            ("http", "cloud.example", "80", "", "/x"),
            id="RFC 7239: two proxies of ours",
        ),
        pytest.param(
            {
                "X-Forwarded-Host": "evil/..",
                "X-Forwarded-Prefix": "javascript:",
                "X-Forwarded-Proto": "gopher",
            },
            ("http", "inner:8000", "8000", "", "/x"),
            id="what is none of it",
        ),
    ],
)
def test_what_a_trusted_proxy_says(headers, expected):
    assert seen(passed(headers)) == expected


def test_a_prefix_that_the_proxy_left_is_taken_off():
    headers = {"X-Forwarded-Prefix": "/a/b"}

    assert passed(headers, path="/a/b/dicom-web/studies")["PATH_INFO"] == "/dicom-web/studies"
    assert passed(headers, path="/a/b")["PATH_INFO"] == "/"
    assert passed(headers, path="/a/bc")["PATH_INFO"] == "/a/bc"


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        pytest.param({"Host": "inner"}, "inner:8000", id="left out by the client"),
        pytest.param({"Host": "[::1]"}, "[::1]:8000", id="of an address in brackets"),
        pytest.param({"Host": "inner", "X-Real-IP": "192.0.2.1"}, "inner", id="behind a proxy"),
        pytest.param({"Host": "a b"}, "a b", id="no host at all"),
    ],
)
def test_a_port_that_the_client_leaves_out_is_the_one_that_it_connected_to(headers, host):
    assert passed(headers)["HTTP_HOST"] == host


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "nonsense"])
def test_nobody_else_is_believed(address):
    environ = passed(
        {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "spoofed.example",
            "X-Forwarded-Prefix": "/spoofed",
            "Forwarded": "proto=https;host=spoofed.example",
        },
        address=address,
    )

    assert seen(environ) == ("http", "inner:8000", "8000", "", "/x")
    assert "HTTP_X_FORWARDED_PROTO" not in environ
