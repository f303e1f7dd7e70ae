"""OHIF under /viewer/: its files with a policy of its own, or how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from common.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(settings, tmp_path) -> Client:
    settings.DATA_DIR = tmp_path
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(User.objects.create_user("somebody"))
    return client


@pytest.fixture
def viewer(tmp_path) -> Path:
    folder = tmp_path / "viewer"
    folder.mkdir()
    (folder / "index.html").write_text("<html>OHIF</html>")
    (folder / "app-config.js").write_text("window.config = {}")
    (folder / "decode.wasm").write_bytes(b"\0asm")
    return folder


def body(response) -> bytes:
    return b"".join(response.streaming_content)  # at its end the client closes the file


def test_without_the_viewer_the_page_says_how_to_get_it(client) -> None:
    response = client.get("/viewer/viewer?StudyInstanceUIDs=1.2.3")

    assert response.status_code == 404
    assert "tools/ohif.py" in response.content.decode()


def test_an_address_of_the_application_gives_its_first_page_which_is_never_kept(client, viewer):
    response = client.get("/viewer/viewer?StudyInstanceUIDs=1.2.3")

    assert body(response) == b"<html>OHIF</html>"
    assert response["Cache-Control"] == "no-cache"


def test_the_viewer_may_run_workers_and_wasm_but_no_inline_script(client, viewer) -> None:
    response = client.get("/viewer/")
    policy = response["Content-Security-Policy"]
    assert body(response)

    assert "worker-src 'self' blob:" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "unsafe-eval'" not in policy.replace("wasm-unsafe-eval'", "")


def test_a_file_has_its_media_type_and_one_that_is_not_there_is_said_so(client, viewer) -> None:
    there = client.get("/viewer/decode.wasm")
    assert there["Content-Type"] == "application/wasm"
    assert body(there) == b"\0asm"
    assert client.get("/viewer/absent.js").status_code == 404


@pytest.mark.parametrize("path", ["../env", "..%2fenv", "%2e%2e/env", "a/../../env.txt"])
def test_no_address_leads_out_of_the_viewers_folder(client, viewer, tmp_path, path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=x")
    (tmp_path / "env.txt").write_text("SECRET_KEY=x")

    response = client.get(f"/viewer/{path}")

    content = body(response) if response.streaming else response.content
    assert b"SECRET_KEY" not in content
