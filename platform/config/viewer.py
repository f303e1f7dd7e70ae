"""OHIF under ``/viewer/``: files that ``tools/ohif.py`` unpacked into the data directory.

Not through whitenoise, which would rename them; with a policy of its own, because the viewer decodes
pictures in workers made from blobs and in WebAssembly.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from csp.constants import NONE, SELF
from csp.decorators import csp_replace
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import http_date, parse_http_date_safe
from django.views.decorators.http import require_safe

# Not from the machine's own table, which may lack or misname them.
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
NEVER_KEPT = {"index.html", "app-config.js"}
WEEK_S = 7 * 86400

POLICY = {
    "default-src": [SELF],
    "script-src": [SELF, "'wasm-unsafe-eval'"],
    "worker-src": [SELF, "blob:"],
    "style-src": [SELF, "'unsafe-inline'"],  # its components write style attributes
    "img-src": [SELF, "blob:", "data:"],
    "font-src": [SELF, "data:"],
    "connect-src": [SELF, "blob:", "data:"],
    "object-src": [NONE],
    "base-uri": [SELF],
    "frame-ancestors": [NONE],
}


@require_safe
def serve(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """A file of the viewer; any address without a dot in its last part is a page of the application."""
    root = Path(settings.DATA_DIR) / "viewer"
    if not (root / "index.html").is_file():
        return render(request, "config/no_viewer.html", {"data_dir": settings.DATA_DIR}, status=404)
    name = path if "." in path.rpartition("/")[2] else "index.html"
    file = _file_at(root, name)
    if file is None:
        return HttpResponse(
            "There is no such file.", status=404, content_type="text/plain; charset=utf-8"
        )
    return csp_replace(POLICY)(lambda request: _answer(request, file))(request)


def _file_at(root: Path, name: str) -> Path | None:
    """The file, if it lies within ``root``; names that no file can have are not there either."""
    try:
        file = (root / name).resolve()
        return file if file.is_relative_to(root.resolve()) and file.is_file() else None
    except (OSError, ValueError):
        return None


def _answer(request: HttpRequest, file: Path) -> HttpResponseBase:
    modified = int(file.stat().st_mtime)
    known = parse_http_date_safe(request.headers.get("If-Modified-Since", ""))
    response: HttpResponseBase
    if known is not None and modified <= known:
        response = HttpResponse(status=304)
    else:
        # Closed by the response, when it has been sent.
        response = FileResponse(file.open("rb"), content_type=_media_type(file))
    response.headers["Last-Modified"] = http_date(modified)
    kept = "no-cache" if file.name in NEVER_KEPT else f"private, max-age={WEEK_S}"
    response.headers["Cache-Control"] = kept
    return response


def _media_type(file: Path) -> str:
    known = MEDIA_TYPES.get(file.suffix.lower())
    return known or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
