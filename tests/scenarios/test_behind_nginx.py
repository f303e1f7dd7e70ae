"""The site behind a real nginx, below a path and on another port: every address leads back through it."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import requests

from common.accounts.tokens import create_token
from config.wsgi import application
from tests.support import archive, dicom_files
from tests.support.services import program

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not dicom_files.rows(), reason="the collection of DICOM files is not here"),
]

_CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /imaging/ {{
            proxy_pass http://127.0.0.1:{inner}{path};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Prefix /imaging;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header Forwarded "";
        }}
    }}
}}
"""


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def inner() -> Iterator[int]:
    """The port of the site itself."""
    server = make_server("127.0.0.1", 0, application, _Threads, _Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["", "/"], ids=["the prefix stays", "the prefix is taken off"])
def outside(request: Any, inner: int, tmp_path: Path) -> Iterator[str]:
    """The address of the site as callers reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = _CONFIGURATION.format(folder=tmp_path, port=port, inner=inner, path=request.param)
    (tmp_path / "nginx.conf").write_text(text)
    command = [
        str(program("nginx", "NGINX_BIN", "nginx")),
        "-p",
        str(tmp_path),
        "-c",
        str(tmp_path / "nginx.conf"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/imaging"
    for _ in range(100):
        try:
            requests.get(f"{address}/healthz", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            break
    yield address
    process.terminate()
    process.wait(timeout=10)


def test_every_address_leads_back_through_the_proxy(outside: str, settings: Any, tmp_path: Path):
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    near = archive.make_institution("near")
    reader = archive.make_user("radiologist", "radiologist", near)
    path = dicom_files.row("pydicom/test_files/ct_small.dcm").path
    stored = archive.archive_files(near, [path], tmp_path=tmp_path)[0]
    token = create_token(actor="test", user=reader)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/dicom+json"}

    (study,) = requests.get(f"{outside}/dicom-web/studies", headers=headers, timeout=10).json()
    found = study["00081190"]["Value"][0]
    metadata = requests.get(f"{found}/metadata", headers=headers, timeout=10).json()
    bulk = metadata[0]["7FE00010"]["BulkDataURI"]
    pixels = requests.get(bulk, headers=headers | {"Accept": "*/*"}, timeout=10)
    page = requests.get(f"{outside}/", timeout=10)
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
    style = next(link for link in links if link.endswith(".css"))

    assert found.startswith(f"{outside}/dicom-web/")
    assert bulk.startswith(f"{outside}/dicom-web/")
    assert pixels.status_code == 200
    assert len(pixels.content) == 128 * 128 * 2
    assert page.url.startswith(f"{outside}/accounts/login/?next=/imaging/")
    assert links
    assert all(link.startswith("/imaging/") for link in links)
    assert requests.get(outside.removesuffix("/imaging") + style, timeout=10).status_code == 200
    assert stored.header.study_instance_uid in found


def test_a_host_that_is_not_allowed_is_refused(outside: str):
    answer = requests.get(
        f"{outside}/accounts/login/", headers={"Host": "spoofed.example"}, timeout=10
    )

    assert answer.status_code == 400
