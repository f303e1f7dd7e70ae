"""Storing over real sockets into the real web server: chunked bodies, broken senders, kill -9, eight at once.

Own PostgreSQL, Redis and MinIO, gunicorn with two processes, Celery that gathers.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.embedded.children import web
from tests.support import services
from tests.support.installation import (
    Backends,
    Child,
    Installation,
    new_installation,
    wait_until,
)
from tests.support.pulling import instance

pytestmark = [pytest.mark.slow, pytest.mark.minio, pytest.mark.timeout(600)]

STUDY, SERIES = "1.2.826.7.1", "1.2.826.7.1.1"
TYPE = 'multipart/related; type="application/dicom"; boundary=b'
SETUP = """
from common.accounts.models import User
from hospitals import services
from hospitals.models import Institution
region = services.add_region(actor="test", code="420000", name="R")
place = services.add_institution(actor="test", code="H1", name="H1", region=region)
Institution.objects.update(state="active")
user = User.objects.create(username="pacs", is_system=True)
user.memberships.create(role="integrator", institution=place, valid_from="2020-01-01")
"""


def slice_(number: int, *, comment: str = "") -> bytes:
    return instance(number, study=STUDY, series=SERIES, comment=comment)


def multipart(*parts: bytes) -> bytes:
    body = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in parts
    )
    return body + b"--b--\r\n"


@dataclass
class Site:
    """An installation with its web server."""

    place: Installation
    port: int
    token: str = ""

    def start_web(self) -> None:
        if former := self.place.children.get("web"):
            former.kill()  # or it would outlive a test that fails before it is killed
        child = Child(
            web(port=self.port, threads=8).argv,
            log=self.place.directory / "web.log",
            env=self.place.env,
            cwd=web(port=self.port, threads=8).cwd,
        )
        self.place.children["web"] = child
        child.start()
        wait_until("the web server answers", self.is_up, timeout_s=60)

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def head(self, *lines: str, method: str = "POST", path: str = "/dicom-web/studies") -> bytes:
        fields = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self.token}",
        ]
        return "\r\n".join([*fields, *lines, "", ""]).encode()

    def exchange(self, *pieces: bytes, close_after: bool = False) -> tuple[int, bytes]:
        """Send over a raw socket and read the answer; ``close_after``: the sender goes away at the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
            for piece in pieces:
                line.sendall(piece)
            if close_after:
                line.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(line)
            answer.begin()
            return answer.status, answer.read()

    def store(self, *instances: bytes) -> int:
        body = multipart(*instances)
        lines = (f"Content-Type: {TYPE}", f"Content-Length: {len(body)}", "Connection: close")
        return self.exchange(self.head(*lines), body)[0]

    def read(self, number: int) -> bytes:
        path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.{number}"
        accept = "Accept: application/dicom; transfer-syntax=*"
        status, body = self.exchange(
            self.head(accept, "Connection: close", method="GET", path=path)
        )
        return body if status == 200 else b""


@pytest.fixture
def site(backends: Backends, request: pytest.FixtureRequest) -> Iterator[Site]:
    number = len(list(backends.directory.glob("site-*"))) % 15
    place = new_installation(backends, f"site-{number}", redis_number=number)
    place.manage("shell", "-c", SETUP)
    site = Site(place, services.free_port())
    site.token = place.manage("create_token", "pacs").strip().splitlines()[-1]
    site.start_web()
    yield site
    place.stop()


def chunked(body: bytes, size: int) -> bytes:
    out = io.BytesIO()
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        out.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    return out.getvalue()


def test_chunked_bodies_are_read_and_broken_ones_keep_what_came_whole(site: Site) -> None:
    body = chunked(multipart(slice_(1), slice_(2)), 1000)
    lines = (f"Content-Type: {TYPE}", "Transfer-Encoding: chunked", "Connection: close")

    whole, _ = site.exchange(site.head(*lines), body + b"0\r\n\r\n")
    cut = chunked(multipart(slice_(3), slice_(4)), 1000)[:-20_000]
    broken, answer = site.exchange(site.head(*lines), cut, close_after=True)
    nonsense, _ = site.exchange(site.head(*lines), b"zz\r\nnothing\r\n")

    assert whole == 200
    assert broken == 202
    assert json.loads(answer)["00081199"]["Value"][0]["00081155"]["Value"] == [f"{SERIES}.3"]
    assert 400 <= nonsense < 500
    assert [site.read(number) for number in (1, 2, 3)] == [slice_(1), slice_(2), slice_(3)]
    assert site.read(4) == b""


def test_a_sender_that_waits_for_100_continue_is_told_to_go_on(site: Site) -> None:
    body = multipart(slice_(1))
    lines = (f"Content-Type: {TYPE}", f"Content-Length: {len(body)}", "Expect: 100-continue",
             "Connection: close")  # fmt: skip

    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as line:
        line.sendall(site.head(*lines))
        first = line.recv(100)
        line.sendall(body)
        answer = http.client.HTTPResponse(line)
        answer.begin()
        answer.read()

    assert first.startswith(b"HTTP/1.1 100")
    assert answer.status == 200


def test_a_refused_sender_in_the_middle_of_its_body_reads_the_refusal(site: Site) -> None:
    body = multipart(*[b"x" * 2_000_000] * 4)
    lines = ("Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close")

    status, text = site.exchange(site.head(*lines), body)

    assert status == 415
    assert b"application/dicom" in text


def test_eight_senders_at_once_into_one_series_end_as_one_certified_pack(site: Site) -> None:
    site.place.start_worker()
    site.place.start_scheduler()
    numbers = range(1, 97)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: site.store(slice_(number)), numbers))
    at_once = [site.read(number) == slice_(number) for number in (1, 48, 96)]
    again = [site.store(slice_(number)) for number in (1, 50)]
    conflict = site.store(slice_(1, comment="other"))

    assert set(statuses) | set(again) == {200}
    assert all(at_once)
    assert conflict == 409
    wait_until("archived", lambda: is_archived(site, len(numbers)), timeout_s=120)
    assert "no faults" in site.place.manage("verify_archive")
    assert site.place.count("SELECT count(*) FROM sharing_series WHERE newest_received = 0") == 1
    assert site.read(77) == slice_(77)


def is_archived(site: Site, instances: int) -> bool:
    site.place.supervise()
    return bool(
        site.place.count(
            "SELECT count(*) FROM sharing_study s JOIN sharing_series x ON x.study_id = s.id "
            "JOIN sharing_seriesrevision r ON r.id = x.current_id "
            f"WHERE s.state = 'archived' AND r.instance_count = {instances}"
        )
    )


def test_kill_9_while_eight_store_loses_nothing_that_was_answered(site: Site) -> None:
    answered: set[int] = set()
    lock = threading.Lock()

    def send(number: int) -> None:
        try:
            status = site.store(slice_(number))
        except (OSError, http.client.HTTPException):
            return  # the server died: not answered
        if status == 200:
            with lock:
                answered.add(number)
                enough = len(answered) == 25
            if enough:
                site.place.children["web"].kill()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(1, 81)))
    before = set(answered)
    site.start_web()
    kept = {number for number in before if site.read(number) == slice_(number)}
    for number in set(range(1, 81)) - before:
        send_again = site.store(slice_(number))
        assert send_again == 200
    site.place.start_worker()
    site.place.start_scheduler()

    assert 25 <= len(before) < 80
    assert kept == before
    wait_until("archived", lambda: is_archived(site, 80), timeout_s=120)
    assert "no faults" in site.place.manage("verify_archive")
    assert [site.read(number) == slice_(number) for number in range(1, 81)] == [True] * 80


def test_what_was_stored_and_not_packed_is_rebuilt_from_the_bucket_alone(
    site: Site, tmp_path: Path
) -> None:
    for number in range(1, 6):
        assert site.store(slice_(number)) == 200
    site.place.manage(
        "shell", "-c",
        "from sharing.models import *; ReceivedInstance.objects.all().delete(); "
        "IncomingPack.objects.all().delete(); Study.objects.all().delete()",
    )  # fmt: skip

    site.place.manage("rebuild_index")

    assert [site.read(number) == slice_(number) for number in range(1, 6)] == [True] * 5
