#!/usr/bin/env python3
"""Fetch the OHIF viewer from npm and fit it under ``/viewer/``: ``python tools/ohif.py DATA_DIR``.

Needs npm and nothing of the project. The result is ``DATA_DIR/viewer``; an interrupted run leaves
nothing there, and a second run does nothing. What is changed, and why, is in docs/adr/0011.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "3.13.2"
PACKAGE = f"@ohif/app@{VERSION}"
BASE = "/viewer/"
# Source maps, AI segmentation models (108 MB, unused) and a service worker that loads a public CDN.
LEFT_OUT = ("ort", "sw.js", "init-service-worker.js", "google.js", "oidc-client.min.js")

CONFIG = {
    "name": "imaging-cloud",
    "routerBasename": "/viewer",
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 3,
    "showWarningMessageForCrossOrigin": False,
    "showCPUFallbackMessage": True,
    "showLoadingIndicator": True,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 10},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Imaging cloud",
                "name": "imaging-cloud",
                "wadoUriRoot": "/wado",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "supportsReject": False,
                "dicomUploadEnabled": False,
                "staticWado": False,
                "singlepart": "bulkdata,video,pdf",
                "bulkDataURI": {"enabled": True, "relativeResolution": "series"},
            },
        }
    ],
}
# The tour would cover the picture at the first visit.
TOUR = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']));\n"


class NotFetched(Exception):
    """The package could not be had; the text says why."""


def fetch(work: Path) -> Path:
    """Unpack the package's ``dist`` below ``work``."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched("npm is not installed (Debian: apt install npm).")
    packed = subprocess.run(
        [npm, "pack", PACKAGE, "--silent"], cwd=work, capture_output=True, text=True, check=False
    )
    archives = list(work.glob("*.tgz"))
    if packed.returncode != 0 or not archives:
        raise NotFetched(f"npm could not fetch {PACKAGE}:\n{packed.stderr.strip()}")
    dist = work / "package" / "dist"
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            target = (work / member.name).resolve()
            # Plain files below dist only; extraction filters came with Python 3.11.4.
            if member.isfile() and target.is_relative_to(dist.resolve()):
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.extractfile(member) as source, target.open("wb") as copy:  # type: ignore[union-attr]
                    shutil.copyfileobj(source, copy)
    return dist


def leave_out(dist: Path) -> None:
    for name in LEFT_OUT:
        path = dist / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in dist.rglob("*.map"):
        path.unlink()


def patch_page(dist: Path) -> None:
    """Addresses below ``/viewer/``, no service worker, and no inline script: the policy forbids it."""
    page = dist / "index.html"
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'\b(href|src|content)="/(?!/)', rf'\1="{BASE}', text)
    text = text.replace('window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{BASE}"')
    text = re.sub(r"<script[^>]*init-service-worker\.js[^>]*></script>", "", text)
    scripts: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        scripts.append(match.group(1))
        return f'<script src="{BASE}inline-{len(scripts)}.js"></script>'

    text = re.sub(r"<script>(.+?)</script>", put_aside, text, flags=re.DOTALL)
    for number, script in enumerate(scripts, start=1):
        (dist / f"inline-{number}.js").write_text(script, encoding="utf-8")
    page.write_text(text, encoding="utf-8")


def patch_assets(dist: Path) -> int:
    """The base address is baked into some scripts, style sheets and the manifest; how many changed."""
    changed = 0
    for path in dist.rglob("*"):
        if path.suffix not in {".js", ".css"} and path.name != "manifest.json":
            continue
        text = path.read_text(encoding="utf-8")
        new = re.sub(r'(__webpack_require__\.p\s*=\s*|\b[a-zA-Z]\.p=)"/"', rf'\1"{BASE}"', text)
        if path.suffix == ".css":
            new = re.sub(r"url\((['\"]?)/(?!/)", rf"url(\1{BASE}", new)
        if path.name == "manifest.json":
            new = re.sub(r'"(src|start_url)":\s*"/', rf'"\1": "{BASE}', new)
        if new != text:
            path.write_text(new, encoding="utf-8")
            changed += 1
    return changed


def install(data_dir: Path) -> None:
    """Fetch, patch and put in place in one step.

    Raises:
        NotFetched: npm is missing or failed, or the package is not built as this script expects.
    """
    target = data_dir / "viewer"
    if (target / "index.html").is_file():
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".viewer-") as name:
        dist = fetch(Path(name))
        leave_out(dist)
        patch_page(dist)
        if patch_assets(dist) < 3:
            raise NotFetched(
                f"{PACKAGE} is built differently than expected: base address not found."
            )
        config = f"window.config = {json.dumps(CONFIG, indent=2)};\n"
        (dist / "app-config.js").write_text(TOUR + config, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        dist.rename(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path, help="the data directory of 'manage.py up'")
    options = parser.parse_args()
    try:
        install(options.data_dir)
    except NotFetched as error:
        print(error, file=sys.stderr)
        return 1
    print(f"OHIF {VERSION} is in {options.data_dir / 'viewer'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
