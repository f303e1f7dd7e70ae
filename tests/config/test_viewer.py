"""OHIF under /viewer/: the files of its builds with a policy of its own, or how to get it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import clear_script_prefix, set_script_prefix

from common.accounts.models import User

pytestmark = pytest.mark.django_db
STAMP, BEFORE = "0123456789ab", "ba9876543210"


@pytest.fixture
def client(settings, tmp_path) -> Client:
    settings.DATA_DIR = tmp_path
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(User.objects.create_user("somebody"))
    return client


@pytest.fixture
def viewer(tmp_path) -> Path:
    """Two builds; the link names the newer one."""
    for stamp in (STAMP, BEFORE):
        folder = tmp_path / f"viewer-{stamp}"
        folder.mkdir()
        (folder / "index.html").write_text('<script src="__BUILD__app.js"></script>')
        (folder / "app-config.js").write_text("go(__ROOT__, __VIEWER__, __LANGUAGE__)")
        (folder / "sw.js").write_text("self.registration.unregister()")
        (folder / "app.js").write_text(f"build {stamp}")
        (folder / "app.js.gz").write_bytes(gzip.compress(f"build {stamp}".encode()))
        (folder / "worker.js").write_text("work")
        (folder / "workers.json").write_text(json.dumps(["worker.js"]))
        (folder / "decode.wasm").write_bytes(b"\0asm")
    (tmp_path / "viewer").symlink_to(f"viewer-{STAMP}")
    return tmp_path / "viewer"


def body(response) -> bytes:
    if not response.streaming:
        return response.content
    return b"".join(response.streaming_content)  # at its end the client closes the file


def test_without_the_viewer_the_page_says_how_to_get_it(client) -> None:
    response = client.get("/viewer/viewer?StudyInstanceUIDs=1.2.3")

    assert response.status_code == 404
    assert "tools/ohif.py" in response.content.decode()


def test_an_address_of_the_application_gives_its_page_with_the_addresses_of_this_build(
    client, viewer
):
    response = client.get("/viewer/viewer?StudyInstanceUIDs=1.2.3")

    assert body(response).decode() == f'<script src="/viewer/build-{STAMP}/app.js"></script>'
    assert response["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("asked", "told"), [("zh-CN", "zh"), ("en", "en-US"), ("fr", "zh")])
def test_the_viewer_speaks_the_language_of_the_portal(client, viewer, asked, told) -> None:
    response = client.get("/viewer/app-config.js", headers={"Accept-Language": asked})

    assert body(response).decode() == f'go("/", "/viewer/", "{told}")'
    assert response["Cache-Control"] == "no-cache"
    assert "Cookie" in response["Vary"]


@pytest.fixture
def mounted() -> Iterator[Callable[[str], None]]:
    """``mounted(prefix)`` does what the WSGI handler does with SCRIPT_NAME."""
    yield set_script_prefix
    clear_script_prefix()


def test_behind_a_prefix_every_address_carries_it(client, viewer, mounted) -> None:
    mounted("/cloud/")

    page = client.get("/viewer/")
    config = client.get("/viewer/app-config.js")

    assert f'"/cloud/viewer/build-{STAMP}/app.js"' in body(page).decode()
    assert body(config).decode() == 'go("/cloud/", "/cloud/viewer/", "en-US")'


def test_a_prefix_that_holds_marks_of_html_or_script_stays_text(client, viewer, mounted) -> None:
    mounted('/"></script>/')

    page = client.get("/viewer/")
    config = client.get("/viewer/app-config.js")

    assert "></script>/" not in body(page).decode()
    assert "</script>" not in body(config).decode()


def test_a_file_of_a_build_is_kept_for_good_and_the_build_before_is_still_there(client, viewer):
    for stamp in (STAMP, BEFORE):
        response = client.get(f"/viewer/build-{stamp}/app.js")
        assert body(response).decode() == f"build {stamp}"
        assert "immutable" in response["Cache-Control"]

    assert client.get(f"/viewer/build-{'0' * 12}/app.js").status_code == 404


@pytest.mark.parametrize(
    ("accepted", "coding"), [("gzip, br", "gzip"), ("gzip;q=0", None), ("identity", None)]
)
def test_a_file_goes_out_compressed_where_that_is_accepted(client, viewer, accepted, coding):
    response = client.get(f"/viewer/build-{STAMP}/app.js", headers={"Accept-Encoding": accepted})

    sent = body(response)
    assert response.get("Content-Encoding") == coding
    assert (gzip.decompress(sent) if coding else sent).decode() == f"build {STAMP}"
    assert response["Content-Type"] == "text/javascript; charset=utf-8"


def test_a_service_worker_of_old_gets_one_that_removes_itself_and_is_never_kept(client, viewer):
    response = client.get("/viewer/sw.js")

    assert b"unregister" in body(response)
    assert response["Cache-Control"] == "no-cache"


def test_the_viewer_may_run_workers_and_wasm_but_no_inline_script(client, viewer) -> None:
    response = client.get("/viewer/")
    policy = response["Content-Security-Policy"]

    assert "worker-src 'self' blob:" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "unsafe-eval'" not in policy.replace("wasm-unsafe-eval'", "")


def test_only_the_script_of_a_worker_may_make_code_from_text(client, viewer) -> None:
    policies = {}
    for name in ("worker.js", "app.js"):
        response = client.get(f"/viewer/build-{STAMP}/{name}")
        assert body(response)
        policies[name] = response["Content-Security-Policy"]

    assert " 'unsafe-eval'" in policies["worker.js"]
    assert " 'unsafe-eval'" not in policies["app.js"]


def test_a_file_has_its_media_type_and_one_that_is_not_there_is_said_so(client, viewer) -> None:
    there = client.get(f"/viewer/build-{STAMP}/decode.wasm")
    assert there["Content-Type"] == "application/wasm"
    assert body(there) == b"\0asm"
    assert client.get("/viewer/absent.js").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../env", "..%2fenv", "%2e%2e/env", "a/../../env.txt", f"build-{STAMP}/../env.txt"],
)
def test_no_address_leads_out_of_the_viewers_folder(client, viewer, tmp_path, path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=x")
    (tmp_path / "env.txt").write_text("SECRET_KEY=x")

    response = client.get(f"/viewer/{path}")

    assert b"SECRET_KEY" not in body(response)
