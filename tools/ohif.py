#!/usr/bin/env python3
"""Fetch the OHIF viewer from npm and fit it under ``/viewer/``: ``python tools/ohif.py DATA_DIR``.

Needs npm and nothing of the project. Each build, which is OHIF's version with our changes to it, lies in a folder of
its own, ``DATA_DIR/viewer-{stamp}``; the link ``DATA_DIR/viewer`` names the current one and is replaced in one step.
An interrupted run changes nothing, a second run does nothing, and the build before stays for pages that are open.
What is changed, and why, is in docs/adr/0011.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "3.13.2"
PACKAGE = f"@ohif/app@{VERSION}"
# Of the package's archive, in hexadecimal: what a registry gives out under this name must be what was looked at.
SHA512 = (
    "5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3dee"
    "a3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10"
)
PARTS = Path(__file__).resolve().parent / "viewer"
# AI segmentation models (108 MB, unused), scripts for logging in elsewhere, a service worker that loads a public CDN.
LEFT_OUT = (
    "ort", "sw.js", "init-service-worker.js", "google.js", "oidc-client.min.js", "silent-refresh.html",
    "es6-shim.min.js", "polyfill.min.js", "serve.json", "_headers", "_redirects",
)  # fmt: skip
# Filled in at serving: the folder of the build, as the browser names it.
BUILD = "__BUILD__"
# In a page the configuration says where the build lies; a worker lies there itself.
PUBLIC_PATH = (
    "(typeof window === 'object' ? window.PUBLIC_URL : new URL('.', self.location.href).href)"
)
# What OHIF says in English whatever the language: what stands before the text, and the text.
UNTRANSLATED = (
    r"((?:title|defaultSaveTitle|title:) ?=? ?)('Create Report')",
    r"(label: )('Create new series')",
    r"(placeholder: )(\"Report name\")",
    r"(placeholder: )(\"Select a series\")",
    r"(className: \"mb-1 pl-1 text-base\"\n  \}, )(\"Series\")",
    r"(InputDialog\.ActionsPrimary \*/\.\w+\.ActionsPrimary, \{\n    onClick: handleSave\n  \}, )(\"Save\")",
    r"(isMixedPatients \? )('Multiple Patients')",
    r"(isMixedPatients \? [^:\n]+ : )('Patient')",
    r"(text: )('(?:Yes|No)')",
    r"(title: )('Study List')",
    r"(label: )('(?:Patient|Study Date|Modalities|Description|Accession|Instances|MRN)')",
    r"(patientName \?\? )('Select a study')",
    r"(description \|\| )('No Description')",
    r"(\}, )(\"(?:Launch workflow|Reset)\")(?=\))",
    r"(buttonText = )('View')",
)
# The policy for content forbids code that is made from text (tools/viewer/ndarray.js).
INSTEAD = {
    r"(function compileConstructor\(dtype, dimension\) \{)": r"\1 return globalThis.imagingViews(dtype, dimension);",
}
COMPRESSED = {".js", ".css", ".wasm", ".json", ".svg"}


class NotFetched(Exception):
    """The package could not be had, or is not built as this script expects; the text says why."""


def stamp() -> str:
    """Names a build: OHIF's version and everything of ours that goes into it."""
    digest = hashlib.sha256(VERSION.encode())
    for path in (Path(__file__), *sorted(PARTS.iterdir())):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def is_current(data_dir: Path) -> bool:
    """Whether the build that would be made is the one that is served."""
    target = data_dir / "viewer"
    return target.resolve().name == f"viewer-{stamp()}" and (target / "index.html").is_file()


def fetch(work: Path) -> Path:
    """Unpack the package's ``dist`` below ``work``."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched("npm is not installed (Debian: apt install npm).")
    packed = subprocess.run(
        [npm, "pack", PACKAGE, "--silent", "--prefer-offline"],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    archives = list(work.glob("*.tgz"))
    if packed.returncode != 0 or not archives:
        raise NotFetched(f"npm could not fetch {PACKAGE}:\n{packed.stderr.strip()}")
    if hashlib.sha512(archives[0].read_bytes()).hexdigest() != SHA512:
        raise NotFetched(f"What npm gave as {PACKAGE} is not the package that was reviewed.")
    dist = work / "package" / "dist"
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            target = (work / member.name).resolve()
            # Plain files of the application only; extraction filters came with Python 3.11.4.
            if not member.isfile() or not target.is_relative_to(dist.resolve()):
                continue
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
    """Addresses in the build's folder, no service worker, and no inline script: the policy forbids it."""
    page = dist / "index.html"
    text = page.read_text(encoding="utf-8")
    text = _change(
        text, r'\b(href|src|content)="/(?!/)', rf'\1="{BUILD}', at_least=10, where="index.html"
    )
    # The configuration is not a file of the build: it differs by reader, and must come before the application.
    text = _change(text, rf"{BUILD}app-config\.js", "__VIEWER__app-config.js", where="index.html")
    text = re.sub(r"<script[^>]*init-service-worker\.js[^>]*></script>", "", text)
    text = text.replace('<script rel="preload" as="script" ', "<script ")
    config = re.search(r"<script [^>]*app-config\.js[^>]*></script>", text)
    if config is None:
        raise NotFetched(
            f"{PACKAGE} is built differently than expected: no configuration in its page."
        )
    own = f'{config.group()}<script src="{BUILD}ndarray.js"></script>'
    own += f'<script src="{BUILD}reports.js" defer></script>'
    text = text.replace(config.group(), "", 1).replace("<head>", f"<head>{own}", 1)
    # The configuration has said it already.
    text = re.sub(r',?window\.PUBLIC_URL="/";?', "", text)
    scripts: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        scripts.append(match.group(1))
        return f'<script src="{BUILD}inline-{len(scripts)}.js"></script>'

    text = re.sub(r"<script>(.+?)</script>", put_aside, text, flags=re.DOTALL)
    for number, script in enumerate(scripts, start=1):
        (dist / f"inline-{number}.js").write_text(script, encoding="utf-8")
    page.write_text(text, encoding="utf-8")


def patch_assets(dist: Path) -> None:
    """The root of a site as base address is baked into scripts, style sheets and the manifest."""
    based = []
    for path in sorted(dist.rglob("*")):
        if path.suffix == ".js":
            text = path.read_text(encoding="utf-8")
            new, found = re.subn(
                r'(__webpack_require__\.p\s*=\s*|\b[a-zA-Z]\.p=)"/"',
                lambda at: at[1] + PUBLIC_PATH,
                text,
            )
            based += [path.name] * bool(found)
        elif path.suffix == ".css":
            text = path.read_text(encoding="utf-8")
            new = re.sub(r"url\((['\"]?)/(?!/)", r"url(\1", text)
        elif path.name == "manifest.json":
            text = path.read_text(encoding="utf-8")
            new = re.sub(r'"(src|start_url)":\s*"/', r'"\1": "./', text)
        else:
            continue
        if new != text:
            path.write_text(new, encoding="utf-8")
    # The application itself, and the scripts of its workers: these are served with a policy of their own.
    workers = [name for name in based if not name.startswith("app.bundle.")]
    if len(workers) < 3 or len(based) != len(workers) + 1:
        raise NotFetched(f"{PACKAGE} is built differently than expected: base address not found.")
    (dist / "workers.json").write_text(json.dumps(workers), encoding="utf-8")


def patch_application(dist: Path) -> None:
    """Our words over OHIF's own, texts where it forgot that there are languages, and no code made from text."""
    bundle = next(dist.glob("app.bundle.*.js"))
    text = bundle.read_text(encoding="utf-8")
    text = _change(
        text,
        r"resources: src_locales\b",
        "resources: window.imagingLocales(src_locales)",
        where=bundle.name,
    )
    bundle.write_text(text, encoding="utf-8")
    changes = {**dict.fromkeys(UNTRANSLATED, r"\1window.imagingWord(\2)"), **INSTEAD}
    found = dict.fromkeys(changes, 0)
    for path in sorted(dist.glob("*.bundle.*.js")):
        before = text = path.read_text(encoding="utf-8")
        for pattern, new in changes.items():
            text, times = re.subn(pattern, new, text)
            found[pattern] += times
        if text != before:
            path.write_text(text, encoding="utf-8")
    if absent := [pattern for pattern, times in found.items() if not times]:
        raise NotFetched(f"{PACKAGE} is built differently than expected: no {absent[0]}.")


def _change(text: str, pattern: str, new: str, *, where: str, at_least: int = 1) -> str:
    """Replace, and refuse a package in which there is nothing to be replaced."""
    changed, found = re.subn(pattern, new, text)
    if found < at_least:
        raise NotFetched(f"{PACKAGE} is built differently than expected: no {pattern} in {where}.")
    return changed


def add_own(dist: Path) -> None:
    words = json.loads((PARTS / "zh.json").read_text(encoding="utf-8"))
    own = json.dumps({"zh": words} if words else {}, ensure_ascii=False, indent=1)
    config = (PARTS / "app-config.js").read_text(encoding="utf-8").replace("__WORDS__", own)
    (dist / "app-config.js").write_text(config, encoding="utf-8")
    for name in ("sw.js", "ndarray.js", "reports.js"):
        shutil.copyfile(PARTS / name, dist / name)


def compress(dist: Path) -> None:
    """Beside each large text its compressed form: the application is 17 MB, and 3 MB on the line."""
    for path in sorted(dist.rglob("*")):
        if path.suffix in COMPRESSED and path.stat().st_size > 2_000:
            data = gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)
            path.with_name(f"{path.name}.gz").write_bytes(data)


def put_in_place(dist: Path, data_dir: Path) -> None:
    """The link is replaced in one step; the build before is kept, older ones go."""
    build, target = data_dir / f"viewer-{stamp()}", data_dir / "viewer"
    shutil.rmtree(build, ignore_errors=True)
    dist.rename(build)
    before = target.resolve().name if target.is_symlink() else ""
    if target.is_dir() and not target.is_symlink():
        # Installations before there were builds: the folder makes room for the link.
        target.rename(Path(tempfile.mkdtemp(dir=data_dir, prefix=".viewer-")) / "old")
    link = data_dir / f".viewer-{os.getpid()}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(build.name)
    link.replace(target)
    for path in [*data_dir.glob("viewer-*"), *data_dir.glob(".viewer-*")]:
        if path.name not in {build.name, before}:
            shutil.rmtree(path, ignore_errors=True)


def install(data_dir: Path) -> None:
    """Fetch, change and put in place in one step.

    Raises:
        NotFetched: npm is missing or failed, or the package is not built as this script expects.
    """
    if is_current(data_dir):
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".fetch-viewer-") as name:
        dist = fetch(Path(name))
        leave_out(dist)
        patch_page(dist)
        patch_assets(dist)
        patch_application(dist)
        add_own(dist)
        compress(dist)
        put_in_place(dist, data_dir)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path, help="the data directory of 'manage.py up'")
    parser.add_argument(
        "--check", action="store_true", help="only say whether it is there: 0 when it is"
    )
    options = parser.parse_args()
    if options.check:
        return 0 if is_current(options.data_dir) else 1
    try:
        install(options.data_dir)
    except NotFetched as error:
        print(error, file=sys.stderr)
        return 1
    print(f"OHIF {VERSION} is in {options.data_dir / 'viewer'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
