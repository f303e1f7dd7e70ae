"""The browser tests of dcmjs-org/dicomweb-client, unchanged, with web security on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from common.accounts.tokens import create_token
from tests.support import archive
from tests.support.suites import Package

# Its test/test.js and testData are those of commit 73d390f6bb16cdaab809058b6c27ff983a9cf6ea.
CLIENT = Package(
    "dicomweb-client",
    "0.11.3",
    "7t1Rc/01fyFnKlQeNPW9Pvxvmsx8R/BgB2n7BxTuWirRFwlTC5upEeLeS3vO72P+n6/SQZ3+5ij0bgaWDHQG/A==",
)
JASMINE = Package(
    "jasmine-core",
    "5.13.0",
    "vsYjfh7lyqvZX5QgqKc4YH8phs7g96Z8bsdIFNEU3VqXhlHaq+vov/Fgn/sr6MiUczdZkyXRC3TX369Ll4Nzbw==",
)
# Where the tests expect their runner, which serves their files below /base.
RUNNER = "http://localhost:9876"
PAGE = """<!doctype html><meta charset=utf-8><title>suite</title>
<script src=/jasmine/jasmine.js></script><script src=/jasmine/jasmine-html.js></script>
<script src=/jasmine/boot0.js></script>
<script src=/runner.js></script><script src=/base/build/dicomweb-client.js></script>
<script src=/base/test/test.js></script>"""
# The tests name their authors' server and no account: requests to it go to ours, with a bearer token.
SETUP = """
const THEIRS = 'http://localhost:8008/dcm4chee-arc/aets/DCM4CHEE/rs';
const open = XMLHttpRequest.prototype.open;
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  open.call(this, method, url.replace(THEIRS, ROOT), ...rest);
  if (url.startsWith(THEIRS) || url.startsWith(ROOT)) {
    this.setRequestHeader('Authorization', `Bearer ${TOKEN}`);
  }
};
window.found = [];
window.finished = false;
jasmine.getEnv().addReporter({
  specDone: (spec) => window.found.push({
    name: spec.fullName, status: spec.status, why: spec.failedExpectations.map((each) => each.message),
  }),
  jasmineDone: () => { window.finished = true; },
});
"""


class Runner(ThreadingHTTPServer):
    """Serves the page, and the files of the packages below their prefixes, as the authors' runner does."""

    def __init__(self, pages: dict[str, str], folders: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", int(RUNNER.rpartition(":")[2])), Handler)
        self.pages, self.folders = pages, folders


class Handler(BaseHTTPRequestHandler):
    server: Runner

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        folder, _, rest = name.partition("/")
        if name in self.server.pages:
            body = self.server.pages[name].encode()
        elif (path := self.server.folders.get(folder, Path()) / rest).is_file():
            body = path.read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", guess_type(name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what matters is what the page reports."""


@pytest.fixture
def run_suite(chromium: Any) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """``run_suite(setup)`` gives the result of every test of the page."""
    folders = {"base": CLIENT.folder(), "jasmine": JASMINE.folder() / "lib" / "jasmine-core"}
    context = chromium.new_context()
    servers: list[Runner] = []

    def run(setup: str) -> list[dict[str, Any]]:
        servers.append(Runner({"suite.html": PAGE, "runner.js": setup}, folders))
        Thread(target=servers[0].serve_forever, daemon=True).start()
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{RUNNER}/suite.html")
        page.evaluate("jasmine.getEnv().execute()")
        page.wait_for_function("window.finished", timeout=120_000)
        assert complaints == []
        found: list[dict[str, Any]] = page.evaluate("window.found")
        return found

    yield run
    context.close()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_browser_tests_of_dcmjs_dicomweb_client_are_green(
    live_server: Any, run_suite: Any, settings: Any, tmp_path: Path
) -> None:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    settings.CORS_ALLOWED_ORIGINS = (RUNNER,)
    hospital = archive.make_institution("near")
    token = create_token(actor="test", user=archive.make_user("pacs", "integrator", hospital))
    root = f"{live_server.url}/dicom-web"

    found = run_suite(f"const ROOT = {json.dumps(root)}, TOKEN = {json.dumps(token)};{SETUP}")

    assert [each for each in found if each["status"] != "passed"] == []
    assert len(found) >= 11
