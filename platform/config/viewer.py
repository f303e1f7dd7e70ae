"""OHIF under ``/viewer/``: the builds that ``tools/ohif.py`` put into the data directory (docs/adr/0011).

Not through whitenoise, which would rename its files; with a policy of its own, because the viewer decodes
pictures in workers made from blobs and in WebAssembly.
"""

from __future__ import annotations

import json
import mimetypes
import re
from functools import lru_cache
from html import escape
from pathlib import Path

from csp.constants import NONE, SELF
from csp.decorators import csp_replace
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import get_script_prefix, reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _
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
# The address of every file names its build, so a new build has new addresses and a file never changes.
BUILT = re.compile(r"build-(?P<stamp>[0-9a-f]{12})/(?P<name>.+)")
FOR_GOOD = "private, max-age=31536000, immutable"
ASKED_EACH_TIME = "no-cache"
ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")
# Made for the reader who asks: where the site is mounted, and in which language.
FILLED = {"index.html", "app-config.js"}

POLICY = {
    "default-src": [SELF],
    "script-src": [SELF, "'wasm-unsafe-eval'"],
    "worker-src": [SELF, "blob:"],
    "style-src": [SELF, "'unsafe-inline'"],  # its components write style attributes
    "img-src": [SELF, "blob:", "data:"],
    "font-src": [SELF, "data:"],
    "connect-src": [SELF, "blob:", "data:"],
    "frame-src": [SELF, "blob:"],
    "object-src": [SELF, "blob:"],
    "base-uri": [SELF],
    "frame-ancestors": [NONE],
}
# The decoders in WebAssembly make their bindings from text. A worker has a policy of its own, and no page to harm.
WORKER_POLICY = {**POLICY, "script-src": [SELF, "'wasm-unsafe-eval'", "'unsafe-eval'"]}


@require_safe
def serve(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """A file of the viewer; any address without a dot in its last part is a page of the application."""
    data_dir = Path(settings.DATA_DIR)
    root = (data_dir / "viewer").resolve()
    if not (root / "index.html").is_file():
        return render(request, "config/no_viewer.html", {"data_dir": settings.DATA_DIR}, status=404)
    name = path if "." in path.rpartition("/")[2] else "index.html"
    built = BUILT.fullmatch(name)
    if built:
        # Pages that were opened before an upgrade go on loading parts of their own build.
        root, name = data_dir / f"viewer-{built['stamp']}", built["name"]
    file = _file_at(root, name)
    if file is None:
        return HttpResponse(
            "There is no such file.", status=404, content_type="text/plain; charset=utf-8"
        )
    answer = (
        _filled(file, root) if name in FILLED and not built else _as_it_is(request, file)
    )  # fmt: skip
    answer.headers["Cache-Control"] = FOR_GOOD if built else ASKED_EACH_TIME
    policy = WORKER_POLICY if built and file.name in _workers(root) else POLICY
    return csp_replace(policy)(lambda request: answer)(request)


@lru_cache(maxsize=8)
def _workers(root: Path) -> frozenset[str]:
    """The scripts that only workers run, as the build says."""
    return frozenset(json.loads((root / "workers.json").read_text(encoding="utf-8")))


def _file_at(root: Path, name: str) -> Path | None:
    """The file, if it lies within ``root``; names that no file can have are not there either."""
    try:
        file = (root / name).resolve()
        return file if file.is_relative_to(root.resolve()) and file.is_file() else None
    except (OSError, ValueError):
        return None


def _as_it_is(request: HttpRequest, file: Path) -> HttpResponseBase:
    packed = file.with_name(f"{file.name}.gz")
    compressed = packed.is_file() and ACCEPTS_GZIP.search(
        request.headers.get("Accept-Encoding", "")
    )
    # Closed by the response, when it has been sent.
    answer = FileResponse(
        (packed if compressed else file).open("rb"), content_type=_media_type(file)
    )
    del answer.headers["Content-Disposition"]
    if compressed:
        answer.headers["Content-Encoding"] = "gzip"
    patch_vary_headers(answer, ["Accept-Encoding"])
    return answer


def _filled(file: Path, root: Path) -> HttpResponse:
    """The page or its configuration, for the prefix the site is mounted at and the reader's language."""
    viewer = reverse("viewer")
    marks = {
        "__BUILD__": f"{viewer}build-{root.name.removeprefix('viewer-')}/",
        "__VIEWER__": viewer,
        "__ROOT__": get_script_prefix(),
        "__LANGUAGE__": "zh" if (get_language() or "").startswith("zh") else "en-US",
        "__PORTAL__": _("Provincial imaging cloud"),
        "__REPORT__": _("Report"),
        "__NO_REPORT__": _("The report cannot be shown now."),
        "__CLOSE__": _("Close"),
    }
    write = escape if file.suffix == ".html" else _in_script
    text = re.sub(
        "|".join(marks), lambda mark: write(marks[mark[0]]), file.read_text(encoding="utf-8")
    )
    answer = HttpResponse(text, content_type=_media_type(file))
    patch_vary_headers(answer, ["Cookie", "Accept-Language"])
    return answer


def _in_script(value: str) -> str:
    return json.dumps(value).replace("<", "\\u003c")


def _media_type(file: Path) -> str:
    known = MEDIA_TYPES.get(file.suffix.lower())
    return known or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
