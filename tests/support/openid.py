"""A real OpenID provider on loopback, and a person who logs in there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from config.env_people import Provider
from tests.support.services import Server, free_port, unavailable
from tools.testservices.oidc_provider import SCRIPT, find_provider

CLIENT, SECRET = "imaging-cloud", "a-secret-of-tests-only"
BACK = "http://testserver/accounts/oidc/back"
OpenProvider = Callable[..., Provider]


@pytest.fixture
def open_provider(settings: Any, tmp_path: Path) -> Iterator[OpenProvider]:
    """``open_provider(**settings)`` starts one and puts it into the settings; it is stopped after the test."""
    found = find_provider(os.environ)
    node = shutil.which("node")
    if found.path is None or node is None:
        unavailable("oidc")
    started: list[Server] = []

    def start(*, redirect: str = BACK, **more: Any) -> Provider:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        server = Server(
            argv=[node, str(SCRIPT), str(found.path), str(port), CLIENT, SECRET, redirect],
            url=f"{url}/.well-known/openid-configuration",
            log=tmp_path / f"provider-{port}.log",
        )
        server.start()
        started.append(server)
        given = {
            "issuer": url,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "name": "省统一认证",
            "scopes": ("openid", "profile", "email"),
            "username_claim": "",
            "provisions": False,
            "second_factors": frozenset(),
        }
        settings.OIDC = Provider(**given | more)
        return settings.OIDC

    yield start
    for server in started:
        server.stop()


def walk(address: str, *, login: str, **given: str) -> str:
    """Log in at the provider by its form; the address that it sends the browser back to."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(address, allow_redirects=False, timeout=20)
        posted = False
        for _ in range(12):
            if answer.is_redirect:
                target = urljoin(answer.url, answer.headers["Location"])
                if "/accounts/oidc/back" in target:
                    return target
                answer = session.get(target, allow_redirects=False, timeout=20)
            elif re.search(r"/interaction/[^/]+$", answer.url) and not posted:
                posted = True
                answer = session.post(
                    answer.url, data={"login": login, **given}, allow_redirects=False, timeout=20
                )
            else:
                break
    raise AssertionError(f"the provider said {answer.status_code}: {answer.text[:500]}")
