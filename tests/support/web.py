"""The product's own web server, gunicorn, on the database and the archive of a test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from config.embedded import children
from tests.support.services import Server, free_port

WebFactory = Callable[..., Server]


@pytest.fixture
def web(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[WebFactory]:
    """``web(**environment)`` starts it with the settings that the test has made so far; all are stopped after it.

    What Django's own live server cannot do — request bodies in chunks, several processes, being killed — is
    tried here. ``url`` has no slash at its end.
    """
    started: list[Server] = []

    def start(**more: str) -> Server:
        port = free_port()
        server = Server(
            argv=list(children.web(port=port, threads=8).argv),
            url=f"http://127.0.0.1:{port}",
            log=tmp_path / f"web-{port}.log",
            env={**os.environ, **environment(), **more},
        )
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def environment() -> dict[str, str]:
    """What a process of ours needs to work on the database and the archive of this test."""
    database = connection.settings_dict
    address = "{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    root = children.ROOT
    return {
        "DATABASE_URL": f"postgres://{address}",
        "OBJECT_STORE_URL": django_settings.OBJECT_STORE_URL,
        "IMAGING_DATA_DIR": str(django_settings.DATA_DIR),
        "ALLOW_LOOPBACK_HOSPITALS": "1",
        "PYTHONPATH": f"{root / 'platform'}:{root}",
        "LOG_FORMAT": "console",
    }
