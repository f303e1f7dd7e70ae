"""A DICOMweb origin server that misbehaves as it is told, in a thread, on a free port of loopback.

    with HostileOrigin.of_files(paths) as origin:
        origin.manners.retrieve = "drop"          # the connection breaks in the middle of a part
        origin.manners.at_part = 2                # ... of the third one
        origin.manners.times = 1                  # ... the first time; afterwards it behaves
        DicomwebOrigin(OriginConfig(origin.url, allow_loopback=True))
        origin.requests                           # what was asked: [("/studies", {"limit": "100"}), ...]
        origin.accepts, origin.authorizations     # the headers of each of these requests

What it holds: ``of_files(paths)`` or ``add(data)`` take instances and read their UIDs; ``add(data, study=, series=,
sop=)`` puts any bytes at a place of your choice (malformed files, wrong studies, one SOP Instance UID twice with
other bytes). ``remove(sop)`` takes one away. ``origin.held`` is the list.

``manners`` may be changed at any time, also while a request runs. All default to good behaviour.

====================  ================================================================================
``retrieve``          how Retrieve answers, a word of ``RETRIEVE``:
  ``well``            multipart/related, as it should
  ``drop``            the connection is closed in the middle of part ``at_part``
  ``reset``           the same by a TCP reset: what the receiver has not read yet is lost too
  ``end``             the same, but the stream ends in good order (chunked, properly closed)
  ``stall``           nothing more is sent in the middle of part ``at_part``, the connection stays
  ``trickle``         from there, one byte every ``trickle_s`` seconds
  ``no-closing``      no closing delimiter after the last part
  ``wrong-boundary``  the header names another boundary than the body uses
  ``bare``            one bare application/dicom body, no multipart
  ``bare-drop``       the same, closed in the middle of the length it declared
  ``html``            200 with a log-in page
  ``not-dicom``       part ``at_part`` is text instead of DICOM
  ``absurd-length``   every part declares a Content-Length of 10^15
  ``wrong-study``     the instances of another study (the first other one held)
  ``raw``             ``raw_body`` with ``raw_type`` as Content-Type, whatever was asked
``pause_s``           seconds between one part and the next
``gzip``              the body is compressed although nobody asked
``part_length``       parts carry their Content-Length (default True)
``refuse_any``        transfer-syntax=* is answered with this status (406, 400)
``status``            this status to every request (401, 429, 500, 206, ...), with ``retry_after``
``redirect``          every request is redirected to this address
``slow_header_s``     the header of the answer trickles: one byte in so many seconds
``only``              ``search`` or ``retrieve``: ``status``, ``redirect``, ``slow_header_s`` for those only
``times``             how many requests are maltreated (``retrieve`` words and the above) before all is well
``ignore_offset``     every page is the first one
``ignore_limit``      everything at once
``max_page``          at most so many results per page, whatever was asked
``ignore_filters``    every study, whatever was asked
``lie``               added to every count in search results (-1, +5)
``list_extra``        searches for instances list so many that do not exist
``search_json``       this text instead of the answer to a search
``charset``           searches are encoded in it instead of UTF-8 (gb18030)
``require``           the Authorization header that must come, else 401
====================  ================================================================================

It serves ``/token`` too (OAuth2 client credentials, any client): tokens ``token-1``, ``token-2``, ...
"""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from common.dicom.part10 import read_instance

BOUNDARY = "hostile-7d1f"
RETRIEVE = frozenset(
    {
        "well",
        "drop",
        "reset",
        "end",
        "stall",
        "trickle",
        "no-closing",
        "wrong-boundary",
        "bare",
        "bare-drop",
        "html",
    }
    | {"not-dicom", "absurd-length", "wrong-study", "raw"}
)
MIDWAY = frozenset({"drop", "reset", "end", "stall", "trickle"})
STUDY_TAGS = (
    "00080020",
    "00080030",
    "00080050",
    "00081030",
    "00100010",
    "00100020",
    "00100030",
    "00100040",
)
SERIES_TAGS = ("00080060", "0008103E", "00200011")


@dataclass
class Manners:
    """How the origin misbehaves; see the module's text."""

    retrieve: str = "well"
    at_part: int = 0
    trickle_s: float = 0.05
    pause_s: float = 0
    gzip: bool = False
    part_length: bool = True
    raw_body: bytes = b""
    raw_type: str = "application/dicom"
    refuse_any: int = 0
    status: int = 0
    retry_after: str = ""
    redirect: str = ""
    slow_header_s: float = 0
    only: str = ""
    times: int | None = None
    ignore_offset: bool = False
    ignore_limit: bool = False
    max_page: int = 0
    ignore_filters: bool = False
    lie: int = 0
    list_extra: int = 0
    search_json: str | None = None
    charset: str = "utf-8"
    require: str = ""


@dataclass
class Held:
    """One instance, or bytes that pass for one."""

    study: str
    series: str
    sop: str
    data: bytes
    attributes: dict[str, Any]


class HostileOrigin:
    """The server; a context manager. ``url`` is its base address."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.manners = Manners()
        self.held: list[Held] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.accepts: list[str] = []
        self.authorizations: list[str | None] = []
        self.tokens = 0
        self.released = threading.Event()  # ends what stalls
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.origin = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @classmethod
    def of_files(cls, paths: Iterable[Path]) -> HostileOrigin:
        origin = cls()
        for path in paths:
            origin.add(path.read_bytes())
        return origin

    def add(self, data: bytes, *, study: str = "", series: str = "", sop: str = "") -> Held:
        """Hold these bytes; UIDs not given are read from them."""
        attributes: dict[str, Any] = {}
        if not (study and series and sop):
            found = read_instance(io.BytesIO(data), offset=0, length=len(data))
            attributes = found.attributes
            study, series = study or found.study_instance_uid, series or found.series_instance_uid
            sop = sop or found.sop_instance_uid
        self.held.append(Held(study, series, sop, data, attributes))
        return self.held[-1]

    def remove(self, sop: str) -> None:
        self.held = [one for one in self.held if one.sop != sop]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def __enter__(self) -> HostileOrigin:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def paths(self, ending: str) -> list[str]:
        """Paths asked for that end so."""
        return [path for path, _query in self.requests if path.endswith(ending)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    origin: HostileOrigin

    def handle_error(self, *_args: Any) -> None:
        """The other side went away: that is what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        """Silent."""

    @property
    def manners(self) -> Manners:
        return self.server.origin.manners

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        origin = self.server.origin
        origin.requests.append((self.path, {}))
        origin.tokens += 1
        token = {"access_token": f"token-{origin.tokens}", "expires_in": 3600}
        self._send(200, "application/json", json.dumps(token).encode())

    def do_GET(self) -> None:
        origin, address = self.server.origin, urlsplit(self.path)
        path, query = address.path.removeprefix("/dicom-web"), dict(parse_qsl(address.query))
        origin.requests.append((path, query))
        origin.authorizations.append(self.headers.get("Authorization"))
        origin.accepts.append(self.headers.get("Accept", ""))
        searching = path.rpartition("/")[2] in ("studies", "series", "instances")
        manners = self._manners_now("search" if searching else "retrieve")
        if manners.require and self.headers.get("Authorization") != manners.require:
            self._send(401, "text/plain", b"who are you")
        elif manners.slow_header_s:
            self._trickle(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 1000, manners.slow_header_s)
        elif manners.redirect:
            self._send(302, "", b"", Location=manners.redirect)
        elif manners.status:
            extra = {"Retry-After": manners.retry_after} if manners.retry_after else {}
            body = (
                self._listing(path, query, manners) if manners.status == 206 else b"<html>no</html>"
            )
            self._send(manners.status, "text/html", body, **extra)
        elif searching:
            self._search(path, query, manners)
        else:
            self._retrieve(path, manners)

    def _manners_now(self, kind: str) -> Manners:
        """The manners that hold for this request; ``times`` counts down."""
        manners = self.manners
        if manners.retrieve not in RETRIEVE:
            raise ValueError(f"no such manners: {manners.retrieve}")
        now = replace(manners)
        if kind == "search":
            now.retrieve = "well"
        if now.only not in ("", kind):
            now.status, now.redirect, now.slow_header_s = 0, "", 0
        if now.retrieve == "well" and not (now.status or now.redirect or now.slow_header_s):
            return now
        if manners.times is not None:
            if manners.times <= 0:
                now.retrieve, now.status, now.redirect, now.slow_header_s = "well", 0, "", 0
            manners.times -= 1
        return now

    # Search

    def _search(self, path: str, query: dict[str, str], manners: Manners) -> None:
        told = manners.search_json
        body = self._listing(path, query, manners) if told is None else told.encode()
        self._send(200, "application/dicom+json", body, compress=manners.gzip)

    def _listing(self, path: str, query: dict[str, str], manners: Manners) -> bytes:
        results = self._results(path, query, manners)
        offset = 0 if manners.ignore_offset else int(query.get("offset", 0))
        limit = len(results) if manners.ignore_limit else int(query.get("limit", len(results)))
        limit = min(limit, manners.max_page or limit)
        text = json.dumps(results[offset : offset + limit], ensure_ascii=False)
        return text.encode(manners.charset)

    def _results(self, path: str, query: dict[str, str], manners: Manners) -> list[dict[str, Any]]:
        held = self._held(path)
        if path.endswith("/instances"):
            found = {one.sop: _result(one, ()) for one in held}
            for number in range(manners.list_extra):
                extra = Held(held[0].study, held[0].series, f"2.25.{number + 1}", b"", {})
                found[extra.sop] = _result(extra, ())
            return list(found.values())
        level = "series" if path.endswith("/series") else "study"
        groups: dict[str, list[Held]] = {}
        for one in held:
            groups.setdefault(getattr(one, level), []).append(one)
        results = [_summary(group, level, manners.lie) for group in groups.values()]
        if level == "study" and not manners.ignore_filters:
            results = [one for one in results if _fits(one, query)]
        return results

    def _held(self, path: str) -> list[Held]:
        uids = dict(re.findall(r"/(studies|series|instances)/([^/]+)", path))
        return [
            one
            for one in self.server.origin.held
            if uids.get("studies", one.study) == one.study
            and uids.get("series", one.series) == one.series
            and uids.get("instances", one.sop) == one.sop
        ]

    # Retrieve

    def _retrieve(self, path: str, manners: Manners) -> None:
        held, word = self._held(path), manners.retrieve
        if manners.refuse_any and "transfer-syntax=*" in self.headers.get("Accept", ""):
            self._send(manners.refuse_any, "text/plain", b"not that one")
        elif word == "raw":
            self._send(200, manners.raw_type, manners.raw_body, compress=manners.gzip)
        elif not held:
            self._send(404, "text/plain", b"nothing")
        elif word == "html":
            self._send(200, "text/html", b"<!DOCTYPE html><title>Log in</title>")
        elif word == "bare-drop":
            self.close_connection = True
            self._send_head(200, "application/dicom", len(held[0].data))
            self.wfile.write(held[0].data[:-100])
        elif word == "bare":
            self._send(200, "application/dicom", held[0].data, compress=manners.gzip)
        else:
            if word == "wrong-study":
                held = [one for one in self.server.origin.held if one.study != held[0].study]
            boundary = "other" if word == "wrong-boundary" else BOUNDARY
            content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
            if manners.gzip:
                body = b"".join(_pieces(held, manners))
                self._send(200, content_type, body, compress=True)
            else:
                self._stream(content_type, held, manners)

    def _stream(self, content_type: str, held: list[Held], manners: Manners) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, piece in enumerate(_pieces(held, manners)):
            if number and manners.pause_s:
                self.server.origin.released.wait(manners.pause_s)
            if number == manners.at_part and manners.retrieve in MIDWAY:
                half = len(piece) // 2
                self._chunk(piece[:half])
                if self._misbehave(piece[half:], manners):
                    return
            else:
                self._chunk(piece)
        self._chunk(b"")

    def _misbehave(self, rest: bytes, manners: Manners) -> bool:
        """Do in the middle of a part what was told; True when the answer is over."""
        word = manners.retrieve
        self.close_connection = True
        if word == "drop":
            self.wfile.flush()
        elif word == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif word == "end":
            self._chunk(b"")
        elif word == "stall":
            self.server.origin.released.wait(60)
        else:
            for byte in rest:
                if self.server.origin.released.wait(manners.trickle_s):
                    break
                self._chunk(bytes([byte]))
        return True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _trickle(self, data: bytes, pause_s: float) -> None:
        self.close_connection = True
        for byte in data:
            self.wfile.write(bytes([byte]))
            if self.server.origin.released.wait(pause_s):
                return

    def _send(
        self, status: int, content_type: str, body: bytes, *, compress: bool = False, **extra: str
    ) -> None:
        if compress:
            body = gzip.compress(body)
            extra["Content-Encoding"] = "gzip"
        self._send_head(status, content_type, len(body), **extra)
        self.wfile.write(body)

    def _send_head(self, status: int, content_type: str, size: int, **extra: str) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()


def _pieces(held: list[Held], manners: Manners) -> Iterator[bytes]:
    """The body, one piece per part and one for the end."""
    for number, one in enumerate(held):
        data = one.data
        if manners.retrieve == "not-dicom" and number == manners.at_part:
            data = b"Error: instance is on tape. Please ask the archive operator.\n" * 4
        size = 10**15 if manners.retrieve == "absurd-length" else len(data)
        length = f"\r\nContent-Length: {size}" if manners.part_length else ""
        head = f"--{BOUNDARY}\r\nContent-Type: application/dicom{length}\r\n\r\n".encode()
        lead = b"\r\n" if number else b""
        yield lead + head + data
    if manners.retrieve != "no-closing":
        yield f"\r\n--{BOUNDARY}--\r\n".encode()


def _result(one: Held, tags: tuple[str, ...]) -> dict[str, Any]:
    return {tag: one.attributes[tag] for tag in tags if tag in one.attributes} | {
        "0020000D": {"vr": "UI", "Value": [one.study]},
        "0020000E": {"vr": "UI", "Value": [one.series]},
        "00080018": {"vr": "UI", "Value": [one.sop]},
    }


def _summary(group: list[Held], level: str, lie: int) -> dict[str, Any]:
    first = next((one for one in group if one.attributes), group[0])
    result = _result(first, STUDY_TAGS if level == "study" else SERIES_TAGS)
    del result["00080018"]
    count = len({one.sop for one in group}) + lie
    if level == "series":
        return result | {"00201209": {"vr": "IS", "Value": [count]}}
    del result["0020000E"]
    return result | {
        "00201206": {"vr": "IS", "Value": [len({one.series for one in group})]},
        "00201208": {"vr": "IS", "Value": [count]},
    }


def _fits(result: dict[str, Any], query: dict[str, str]) -> bool:
    day = next(iter(result.get("00080020", {}).get("Value", [])), "")
    first, _, last = query.get("StudyDate", "-").partition("-")
    uid = query.get("StudyInstanceUID", "")
    in_range = query.get("StudyDate") is None or (day >= first and (not last or day <= last))
    return in_range and uid in ("", result["0020000D"]["Value"][0])
