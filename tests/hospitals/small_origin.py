"""A small DICOMweb origin on loopback whose habits a test chooses."""

from __future__ import annotations

import fnmatch
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom.data import get_testdata_file


@dataclass
class Habits:
    """What the origin does; honest unless told otherwise."""

    limit: bool = True
    offset: bool = True
    filters: bool = True
    includefield: bool = True
    metadata: bool = True
    status: int = 200
    names: tuple[str, ...] = ("Zhang^San", "李^四", "Wang^Wu")
    asked: list[str] = field(default_factory=list)


def _study(number: int, name: str) -> dict[str, Any]:
    return {
        "0020000D": {"vr": "UI", "Value": [f"1.2.3.{number}"]},
        "00100020": {"vr": "LO", "Value": [f"PID{number}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
    }


def _matches(study: dict[str, Any], query: dict[str, list[str]]) -> bool:
    name = study["00100010"]["Value"][0]["Alphabetic"]
    known = {"PatientID": study["00100020"]["Value"][0], "PatientName": name}
    known |= {"00100020": known["PatientID"], "00100010": name}
    return all(
        fnmatch.fnmatchcase(value, query[key][0]) for key, value in known.items() if key in query
    )


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "SmallOrigin/1", ""

    def log_message(self, *_args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        habits: Habits = self.server.habits  # type: ignore[attr-defined]
        habits.asked.append(self.path)
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if habits.status != 200:
            return self._send(habits.status, b"<html>down</html>", "text/html")
        if parts.path.endswith("/studies"):
            return self._json(self._studies(habits, query))
        if parts.path.endswith("/series"):
            return self._json([{"0020000E": {"vr": "UI", "Value": ["1.2.9"]}}])
        if parts.path.endswith("/instances"):
            return self._json([{"00080018": {"vr": "UI", "Value": ["1.2.10"]}}])
        if parts.path.endswith("/metadata"):
            if not habits.metadata:
                return self._send(501, b"", "text/plain")
            return self._json([{"0020000E": {"vr": "UI", "Value": ["1.2.9"]}}])
        return self._instance()

    def _studies(self, habits: Habits, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        rows = [_study(number, name) for number, name in enumerate(habits.names, 1)]
        if habits.filters:
            rows = [row for row in rows if _matches(row, query)]
        if habits.includefield and "includefield" in query:
            rows = [row | {"00081030": {"vr": "LO", "Value": ["胸部"]}} for row in rows]
        if habits.offset:
            rows = rows[int(query.get("offset", ["0"])[0]) :]
        if habits.limit and "limit" in query:
            rows = rows[: int(query["limit"][0])]
        return rows

    def _instance(self) -> None:
        data = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
        body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--\r\n"
        self._send(200, body, 'multipart/related; type="application/dicom"; boundary=b')

    def _json(self, rows: list[dict[str, Any]]) -> None:
        self._send(200, json.dumps(rows).encode(), "application/dicom+json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def small_origin(habits: Habits) -> Iterator[str]:
    """Its base URL, while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.habits = habits  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
