"""Fixtures of real services; each skips with its reason where the service cannot be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import services
from tools.testservices.npm_packages import find_axe

OrthancFactory = Callable[..., services.Orthanc]


@pytest.fixture(scope="session")
def minio_url() -> str:
    """``minio://KEY:SECRET@HOST:PORT/BUCKET?secure=0`` of a real MinIO server."""
    url = os.environ.get("TEST_MINIO_URL", "")
    if not url and os.environ.get("OBJECT_STORE_URL", "").startswith("minio://"):
        url = os.environ["OBJECT_STORE_URL"]
    if not url:
        services.unavailable("minio")
    return url


@pytest.fixture
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancFactory]:
    """``orthanc(name, **configuration)`` starts a real Orthanc; all are stopped after the test."""
    started: list[services.Orthanc] = []

    def start(name: str = "hospital", **configuration: Any) -> services.Orthanc:
        server = services.new_orthanc(tmp_path_factory.mktemp(name), **configuration)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Server]:
    """A MinIO of this test alone, which it may kill and start again."""
    server = services.new_minio(tmp_path_factory.mktemp("minio"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A Playwright browser: the distribution's Chromium, headless, without calls to its maker."""
    binary = services.program("chromium", "CHROMIUM_BIN", "chromium", "chromium-browser")
    from playwright.sync_api import sync_playwright

    # Playwright's loop counts as asynchronous for Django, which would then refuse the database.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(binary), headless=True, args=services.CHROMIUM_FLAGS
        )
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture(scope="session")
def axe() -> Path:
    """The script of axe-core, which judges a page by WCAG 2.2; ``tests.support.browsing`` runs it."""
    # On a machine with npm but without the test services' environment the cache is asked, and npm once.
    found = find_axe(os.environ)
    if found.path is None:
        services.unavailable("axe")
    return found.path
