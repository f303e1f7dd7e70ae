"""The services that tests are promised are the real ones."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.conftest import NetworkClosed
from tests.support.fixtures import OrthancFactory


@pytest.mark.orthanc
def test_an_orthanc_of_a_test_answers_dicomweb(orthanc: OrthancFactory) -> None:
    server = orthanc("hospital-a")

    answer = json.loads(server.get("dicom-web/studies") or b"[]")

    assert answer == []


@pytest.mark.browser
def test_the_browser_shows_a_page(chromium: Any) -> None:
    page = chromium.new_page()

    page.set_content("<h1>影像云</h1>")

    assert page.inner_text("h1") == "影像云"
    page.close()


def test_a_test_cannot_leave_the_machine() -> None:
    with socket.socket() as connection, pytest.raises(NetworkClosed):
        connection.connect(("192.0.2.1", 80))
