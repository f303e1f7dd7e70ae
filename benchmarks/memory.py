#!/usr/bin/env python
"""Peak memory of pulling one large series: 4096 instances of 512 KiB by default, 2 GB in all.

    python benchmarks/memory.py [--instances 4096] [--pixels 512] [--minio minio://…]

The hospital is a generator: it answers searches and sends the series without keeping it anywhere. Needs
DATABASE_URL and REDIS_URL (``tools/services env``).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson

from benchmarks.pull import Load, check, installation_at
from benchmarks.support import (
    ROOT_UID,
    ct_slice,
    keep,
    manage,
    print_table,
    run_measured,
)

STUDY = f"{ROOT_UID}.3.1"
SERIES = f"{STUDY}.1"
HEAD_BYTES = 4096  # the UID and the number lie within; the pixels are sent as they are
NUMBER = "000000"  # replaced in the bytes: every slice has a UID and a number of the same length


class Slices:
    """One slice as bytes, made once, and what has to be changed in it for each of the others."""

    def __init__(self, count: int, pixels: int) -> None:
        self.count = count
        data = ct_slice(STUDY, 1, pixels)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.1{NUMBER}"
        data.InstanceNumber = f"1{NUMBER}"
        data.PixelData = os.urandom(pixels * pixels * 2)
        file = io.BytesIO()
        data.save_as(file, enforce_file_format=True)
        self.template = file.getvalue()
        self.size = len(self.template)
        self.uid, self.number = f"{SERIES}.1{NUMBER}".encode(), f"1{NUMBER}".encode()
        self.head, self.tail = self.template[:HEAD_BYTES], self.template[HEAD_BYTES:]

    def instance(self, number: int) -> tuple[bytes, bytes]:
        name = f"1{number:06d}".encode()
        return self.head.replace(self.number, name), self.tail

    def sop_uid(self, number: int) -> str:
        return f"{SERIES}.1{number:06d}"


class Generator(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, slices: Slices) -> None:
        self.slices = slices
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Generator
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        slices = self.server.slices
        if path.endswith("/instances"):
            self._search(query, [_row(SOP=slices.sop_uid(n)) for n in range(slices.count)])
        elif path.endswith("/series"):
            self._search(query, [_row(SERIES=SERIES, COUNT=slices.count)])
        elif path.endswith("/studies"):
            self._search(query, [_row(STUDY=STUDY)])
        else:
            self._retrieve(slices)

    def _search(self, query: str, rows: list[dict[str, Any]]) -> None:
        asked = dict(pair.split("=") for pair in query.split("&") if "=" in pair)
        start = int(asked.get("offset", 0))
        page = rows[start : start + int(asked.get("limit", len(rows)))]
        body = orjson.dumps(page)
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _retrieve(self, slices: Slices) -> None:
        self.send_response(200)
        self.send_header(
            "Content-Type", 'multipart/related; type="application/dicom"; boundary=next-slice'
        )
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(slices.count):
            head, tail = slices.instance(number)
            self.wfile.write(b"\r\n--next-slice\r\nContent-Type: application/dicom\r\n\r\n" + head)
            self.wfile.write(tail)
        self.wfile.write(b"\r\n--next-slice--\r\n")
        self.close_connection = True


TAGS = {
    "STUDY": ("0020000D", "UI"),
    "SERIES": ("0020000E", "UI"),
    "SOP": ("00080018", "UI"),
    "COUNT": ("00201209", "IS"),
}


def _row(**values: Any) -> dict[str, Any]:
    return {
        TAGS[name][0]: {"vr": TAGS[name][1], "Value": [value]} for name, value in values.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=4096)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--minio", default=os.environ.get("TEST_MINIO_URL", ""))
    options = parser.parse_args()
    slices = Slices(options.instances, options.pixels)
    size = options.instances * slices.size
    server = Generator(slices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    load = Load("one series", Path(), 1, options.instances, size)
    rows = []
    for store in filter(None, ["file", options.minio]):
        address = "" if store == "file" else store
        url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
        with installation_at(url, address, jobs=1) as env:
            found, text = run_measured(manage("pull", "H1", "--wait"), env)
            check(load, env, text)
        rows.append(
            {
                "store": store.partition(":")[0],
                "instances": options.instances,
                "MB": size / 1e6,
                "seconds": found.seconds,
                "MB/s": size / 1e6 / found.seconds,
                "CPU s/GB": found.cpu_s / (size / 1e9),
                "peak MB": found.peak_mb,
            }
        )
    server.shutdown()
    print_table(rows)
    keep("memory", rows)


if __name__ == "__main__":
    main()
