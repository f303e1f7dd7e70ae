"""A DICOMweb origin of one large synthetic series, made while it is sent: no disk, no memory."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pydicom

from tests.support.pulling import SERIES, STUDY, instance

BOUNDARY = "big-31c0"
CHUNK = bytes(2**20)


class BigOrigin:
    """``instances`` instances of ``pixel_bytes`` bytes of pixels each; a context manager."""

    def __init__(self, *, instances: int, pixel_bytes: int) -> None:
        self.instances, self.pixel_bytes = instances, pixel_bytes
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.origin = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/dicom-web"

    def __enter__(self) -> BigOrigin:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def head(self, number: int) -> bytes:
        """The file up to its pixels, whose length it already declares."""
        dataset = pydicom.dcmread(io.BytesIO(instance(number)))
        dataset.Rows, dataset.Columns = 2048, self.pixel_bytes // 2048 // 2
        dataset.PixelData = b"\0\0"
        del dataset.DataSetTrailingPadding
        out = io.BytesIO()
        dataset.save_as(out)
        data = out.getvalue()
        assert data.endswith((2).to_bytes(4, "little") + b"\0\0")
        return data[:-6] + self.pixel_bytes.to_bytes(4, "little")

    def body(self) -> Iterator[bytes]:
        for number in range(1, self.instances + 1):
            yield f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            yield self.head(number)
            for _ in range(self.pixel_bytes // len(CHUNK)):
                yield CHUNK
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    def results(self, level: str) -> list[dict[str, Any]]:
        study = {"0020000D": {"vr": "UI", "Value": [STUDY]}}
        series = study | {"0020000E": {"vr": "UI", "Value": [SERIES]}}
        if level == "studies":
            return [study]
        if level == "series":
            return [series]
        return [
            series | {"00080018": {"vr": "UI", "Value": [f"{SERIES}.{number}"]}}
            for number in range(1, self.instances + 1)
        ]


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        origin: BigOrigin = self.server.origin  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        level = path.rpartition("/")[2]
        self.send_response(200)
        if level in ("studies", "series", "instances"):
            found = [] if "offset=" in query and "offset=0" not in query else origin.results(level)
            body = json.dumps(found).encode()
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header(
            "Content-Type", f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        )
        self.end_headers()
        for piece in origin.body():
            self.wfile.write(piece)
