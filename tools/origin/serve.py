#!/usr/bin/env python3
"""A plain DICOMweb origin server over a directory of DICOM files: the demo's second hospital, the benchmarks' origin.

    python tools/origin/serve.py DIR --port 8042 [--auth USER:PASSWORD] [--token TOKEN]

Search (QIDO-RS) for studies, series and instances; Retrieve (WADO-RS) of studies, series, instances, their
metadata and frames. Files go out as they lie on the disk, by sendfile, one part each; nothing is transcoded.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import hmac
import re
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "platform"))

from pydicom.datadict import tag_for_keyword

from common.dicom.frames import read_frame
from common.dicom.part10 import read_instance
from common.dicomweb.folder import instance_result
from common.dicomweb.folder_index import FolderIndex, IndexedFile
from common.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    OCTET_STREAM,
    Representation,
    choose,
    parse_accept,
)
from common.errors import DomainError

BOUNDARY = "origin-0f3c5b6e9d"
MAX_LIMIT = 5000
LOOK_AGAIN_S = 2.0
FRAME_TYPES = {  # PS3.18 Table 8.7.3-5, as far as they differ from octet-stream
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
File = tuple[Path, IndexedFile]


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class OriginServer(ThreadingHTTPServer):
    """The server over one folder; ``start()`` serves in a thread, ``stop()`` ends it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        auth: str = "",
        token: str = "",
        root: str = "/dicom-web",
        settle_s: float = 0,
    ) -> None:
        self.index = FolderIndex(folder, cache_dir=None, character_set="", settle_s=settle_s)
        basic = base64.b64encode(auth.encode()).decode()
        self.credentials = f"Basic {basic}" if auth else f"Bearer {token}" if token else ""
        self.root = root.rstrip("/")
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}{self.root}"

    def start(self) -> OriginServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_args: Any) -> None:
        """A client that left is no news; a fault of ours was answered with 500 already."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    server: OriginServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version, sys_version = "origin", ""

    def log_message(self, *_args: Any) -> None:
        """Addresses hold what was searched for: nothing is logged."""

    def do_GET(self) -> None:
        try:
            self._answer()
        except Refusal as refusal:
            self._send(refusal.status, "text/plain; charset=utf-8", str(refusal).encode())
        except DomainError as error:
            self._send(500, "text/plain; charset=utf-8", error.message.encode())

    def _answer(self) -> None:
        expected = self.server.credentials
        given = self.headers.get("Authorization", "")
        if expected and not hmac.compare_digest(given.encode(), expected.encode()):
            raise Refusal(401, "Who is asking?")
        address = urlsplit(self.path)
        path = unquote(address.path)
        if not path.startswith(self.server.root + "/"):
            raise Refusal(404, "No such resource.")
        self.server.index.refresh(max_age_s=LOOK_AGAIN_S)
        path = path[len(self.server.root) :].rstrip("/")
        query = parse_qsl(address.query, keep_blank_values=True)
        for pattern, answer in ROUTES:
            if match := re.fullmatch(pattern, path):
                answer(self, {name: uid or "" for name, uid in match.groupdict().items()}, query)
                return
        raise Refusal(404, "No such resource.")

    # Search Transaction

    def studies(self, _uids: dict[str, str], query: list[tuple[str, str]]) -> None:
        self._found(self.server.index.studies(), query)

    def series(self, uids: dict[str, str], query: list[tuple[str, str]]) -> None:
        self._found(self._series_of(uids["study"]), query)

    def instances(self, uids: dict[str, str], query: list[tuple[str, str]]) -> None:
        uids["study"] = uids["study"] or uids["whole"]
        files = self._files(uids, search=True) if uids["study"] else self._all_files()
        found = {known.sop_instance_uid: instance_result(known) for _, known in files}
        self._found(list(found.values()), query)

    def _series_of(self, study: str) -> list[dict[str, Any]]:
        index = self.server.index
        studies = [study] if study else [_text(one, "0020000D") for one in index.studies()]
        return [one for uid in studies for one in index.series(uid)]

    def _all_files(self) -> list[File]:
        index = self.server.index
        keys = [(_text(one, "0020000D"), _text(one, "0020000E")) for one in self._series_of("")]
        return [file for study, series in keys for file in index.files(study, series)]

    def _found(self, results: list[dict[str, Any]], query: list[tuple[str, str]]) -> None:
        if choose(self._accepted(), [Representation(DICOM_JSON, multipart=False)]) is None:
            accepts_json = any(one.name == "application/json" for one in self._accepted())
            if not accepts_json:
                raise Refusal(406, "Searches are answered as application/dicom+json.")
        limit, offset = MAX_LIMIT, 0
        for name, value in query:
            if name in ("limit", "offset"):
                if not value.isdigit():
                    raise Refusal(400, f"{name} is not a number.")
                limit, offset = (
                    (min(int(value), MAX_LIMIT), offset) if name == "limit" else (limit, int(value))
                )
            elif name not in ("includefield", "fuzzymatching"):
                results = [one for one in results if _matches(one, _tag(name), value)]
        page = results[offset : offset + limit]
        if page:
            self._send(200, DICOM_JSON, orjson.dumps(page))
        else:
            self._send(204, "", b"")

    # Retrieve Transaction

    def retrieve(self, uids: dict[str, str], _query: list[tuple[str, str]]) -> None:
        files = self._files(uids)
        accepted = self._accepted()
        for _path, known in files:
            offer = Representation(DICOM, known.transfer_syntax_uid)
            if choose(accepted, [offer]) is None:
                raise Refusal(406, "Instances are sent as they are stored: transfer-syntax=*.")
        heads = [
            (
                f"--{BOUNDARY}\r\nContent-Type: {DICOM}; transfer-syntax={known.transfer_syntax_uid}"
                f"\r\nContent-Length: {known.size_bytes}\r\n\r\n"
            ).encode()
            for _path, known in files
        ]
        tail = f"--{BOUNDARY}--\r\n".encode()
        size = sum(
            len(head) + known.size_bytes + 2 for head, (_, known) in zip(heads, files, strict=True)
        )
        self._head(200, f'multipart/related; type="{DICOM}"; boundary={BOUNDARY}', size + len(tail))
        for head, (path, known) in zip(heads, files, strict=True):
            with path.open("rb") as file:
                self.wfile.write(head)
                sent = (
                    self.connection.sendfile(file, count=known.size_bytes)
                    if known.size_bytes
                    else 0
                )
            if sent != known.size_bytes:
                self.close_connection = (
                    True  # the file changed while it was sent: cut off, never padded
                )
                return
            self.wfile.write(b"\r\n")
        self.wfile.write(tail)

    def metadata(self, uids: dict[str, str], _query: list[tuple[str, str]]) -> None:
        found = []
        for path, known in self._files(uids):
            with path.open("rb") as file:
                found.append(read_instance(file, offset=0, length=known.size_bytes).attributes)
        self._send(200, DICOM_JSON, orjson.dumps(found))

    def frames(self, uids: dict[str, str], _query: list[tuple[str, str]]) -> None:
        path, known = self._files(uids)[0]
        with path.open("rb") as file:
            frames = read_instance(file, offset=0, length=known.size_bytes).frames

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            numbers = [int(number) for number in uids["frames"].split(",")]
            if not all(1 <= number <= frames.count for number in numbers):
                raise Refusal(404, "No such frame.")
            media_type = FRAME_TYPES.get(known.transfer_syntax_uid, OCTET_STREAM)
            head = f"--{BOUNDARY}\r\nContent-Type: {media_type}; transfer-syntax={known.transfer_syntax_uid}\r\n\r\n"
            parts = [
                head.encode() + read_frame(frames, number, read) + b"\r\n" for number in numbers
            ]
        body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
        self._send(200, f'multipart/related; type="{media_type}"; boundary={BOUNDARY}', body)

    def _files(self, uids: dict[str, str], *, search: bool = False) -> list[File]:
        """The files of a study, a series or an instance."""
        index, study = self.server.index, uids["study"]
        series = (
            [uids["series"]]
            if uids.get("series")
            else [_text(one, "0020000E") for one in index.series(study)]
        )
        files = [file for one in series for file in index.files(study, one)]
        if wanted := uids.get("sop"):
            files = [file for file in files if file[1].sop_instance_uid == wanted]
        if not files and not search:
            raise Refusal(404, "No such study, series or instance.")
        return files

    # HTTP

    def _accepted(self) -> list[Any]:
        return parse_accept(self.headers.get("Accept", ""))

    def _head(self, status: int, content_type: str, size: int) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="origin"')
        if status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self._head(status, content_type, len(body))
        self.wfile.write(body)


_STUDY = r"/studies/(?P<study>[0-9.]+)"
_SERIES = _STUDY + r"/series/(?P<series>[0-9.]+)"
_INSTANCE = _SERIES + r"/instances/(?P<sop>[0-9.]+)"
ROUTES: list[tuple[str, Callable[..., None]]] = [
    (r"/studies", Handler.studies),
    (rf"(?:{_STUDY})?/series", Handler.series),
    (rf"(?:{_SERIES}|/studies/(?P<whole>[0-9.]+))?/instances", Handler.instances),
    (rf"{_INSTANCE}/frames/(?P<frames>[0-9]{{1,6}}(?:,[0-9]{{1,6}}){{0,99}})", Handler.frames),
    *((rf"{level}/metadata", Handler.metadata) for level in (_STUDY, _SERIES, _INSTANCE)),
    *((level, Handler.retrieve) for level in (_STUDY, _SERIES, _INSTANCE)),
]


def _tag(name: str) -> str:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return name.upper()
    tag = tag_for_keyword(name)
    if tag is None:
        raise Refusal(400, f"{name} is not an attribute.")
    return f"{tag:08X}"


def _text(result: dict[str, Any], tag: str) -> str:
    return next(iter(_texts(result, tag)), "")


def _texts(result: dict[str, Any], tag: str) -> list[str]:
    values = result.get(tag, {}).get("Value", [])
    return [str(one.get("Alphabetic", "")) if isinstance(one, dict) else str(one) for one in values]


def _matches(result: dict[str, Any], tag: str, wanted: str) -> bool:
    """Attribute matching (PS3.4 §C.2.2.2): universal, list of UIDs, range, wildcard, single value."""
    if wanted in ("", "*"):
        return True
    texts, vr = _texts(result, tag), result.get(tag, {}).get("vr", "")
    if vr in ("DA", "TM") and "-" in wanted:
        first, last = wanted.split("-", 1)
        return any(text >= first and (not last or text <= last) for text in texts)
    if vr == "UI":
        return bool(set(texts) & set(re.split(r"[,\\]", wanted)))
    fold: Callable[[str], str] = str.casefold if vr == "PN" else str
    pattern = fold(wanted).replace("[", "[[]")
    return any(fnmatch.fnmatchcase(fold(text), pattern) for text in texts)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8042, help="0: any free port")
    parser.add_argument("--auth", default="", metavar="USER:PASSWORD")
    parser.add_argument("--token", default="", help="bearer token")
    parser.add_argument("--root", default="/dicom-web")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    server = OriginServer(**vars(options))
    server.index.refresh(max_age_s=0)
    print(f"{server.url} serves {len(server.index.studies())} studies", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
