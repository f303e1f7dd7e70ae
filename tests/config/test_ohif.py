"""tools/ohif.py: a build is made from the package in one step, and a package of another form is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (
    '<!doctype html><html><head><meta charset="UTF-8">'
    "<script>console.time('a'),window.PUBLIC_URL=\"/\"</script>"
    + "".join(f'<link rel="icon" href="/assets/{number}.png">' for number in range(10))
    + '<script src="/init-service-worker.js"></script>'
    '<script rel="preload" as="script" src="/app-config.js"></script>'
    '<script defer="defer" src="/app.bundle.1.js"></script></head><body></body></html>'
)
FILES = {
    "index.html": PAGE,
    "app-config.js": "window.config = 'a public demonstration server';",
    "init-service-worker.js": "importScripts('https://cdn.example/')",
    "sw.js": "importScripts('https://cdn.example/')",
    "app.bundle.1.js": '__webpack_require__.p = "/";\ninit({ resources: src_locales, });'
    + " " * 3000,
    "100.bundle.2.js": '__webpack_require__.p = "/";',
    "101.bundle.3.js": '__webpack_require__.p = "/";',
    "7.bundle.7.js": """title: 'Study List', patientName ?? 'Select a study', description || 'No Description',
 buttonText = 'View',
 label: 'Modalities' }, "Reset") title: 'Create Report', label: 'Create new series', placeholder: "Report name",
 placeholder: "Select a series", text: 'Yes', isMixedPatients ? 'Multiple Patients' : 'Patient',
className: "mb-1 pl-1 text-base"
  }, "Series") (ui_next_src/* .InputDialog.ActionsPrimary */.fa0.ActionsPrimary, {
    onClick: handleSave
  }, "Save") function compileConstructor(dtype, dimension) { return new Function('a'); }""",
    "102.bundle.4.js": '__webpack_require__.p = "/";',
    "app.css": "@font-face { src: url(/font.woff2) }",
    "app.css.map": "{}",
    "manifest.json": '{"icons": [{"src": "/assets/1.png"}], "start_url": "/"}',
    "ort/model.onnx": "large",
    "../outside.txt": "not of the application",
}


@pytest.fixture
def ohif() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ohif_script", ROOT / "tools" / "ohif.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(ohif, tmp_path, monkeypatch) -> dict[str, str]:
    """An npm on the path that gives this package; tests change its files."""
    files = dict(FILES)
    archive = tmp_path / "npm" / "ohif.tgz"
    npm = tmp_path / "npm" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp "{archive}" .\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")

    class Packed(dict[str, str]):
        def __setitem__(self, name: str, text: str) -> None:
            super().__setitem__(name, text)
            self.write()

        def write(self) -> None:
            with tarfile.open(archive, "w:gz") as tar:
                for name, content in self.items():
                    info = tarfile.TarInfo(f"package/dist/{name}")
                    info.size = len(content.encode())
                    tar.addfile(info, io.BytesIO(content.encode()))
            ohif.SHA512 = hashlib.sha512(archive.read_bytes()).hexdigest()

    packed = Packed(files)
    packed.write()
    return packed


def test_a_build_has_no_address_of_a_root_no_inline_script_and_no_script_from_elsewhere(
    ohif, package, tmp_path
):
    data = tmp_path / "data"

    ohif.install(data)

    build = data / "viewer"
    page = (build / "index.html").read_text()
    assert '="/' not in page
    assert page.index("app-config.js") < page.index("inline-1.js") < page.index("app.bundle")
    assert "<script>" not in page
    assert "PUBLIC_URL" not in (build / "inline-1.js").read_text()
    assert '= "/"' not in (build / "app.bundle.1.js").read_text()
    spoken = (build / "7.bundle.7.js").read_text()
    assert spoken.count("window.imagingWord(") == 15
    assert "window.imagingWord('Patient')" in spoken
    assert "(dtype, dimension) { return globalThis.imagingViews(dtype, dimension);" in spoken
    assert "url(font.woff2)" in (build / "app.css").read_text()
    assert json.loads((build / "manifest.json").read_text())["start_url"] == "./"
    texts = [path.read_text() for path in build.iterdir() if path.suffix in {".js", ".html"}]
    assert not any("cdn.example" in text or "demonstration" in text for text in texts)
    assert not (build / "ort").exists()
    assert not (build / "app.css.map").exists()
    assert json.loads((build / "workers.json").read_text()) == [
        "100.bundle.2.js", "101.bundle.3.js", "102.bundle.4.js",
    ]  # fmt: skip
    assert (build / "app.bundle.1.js.gz").is_file()
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_second_run_fetches_nothing(ohif, package, tmp_path, monkeypatch):
    ohif.install(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")

    ohif.install(tmp_path)

    assert ohif.is_current(tmp_path)


def test_an_upgrade_replaces_the_link_keeps_the_build_before_and_drops_older_ones(
    ohif, package, tmp_path, monkeypatch
):
    builds = []
    for version in ("3.1", "3.2", "3.3"):
        monkeypatch.setattr(ohif, "VERSION", version)
        assert not ohif.is_current(tmp_path)
        ohif.install(tmp_path)
        builds.append((tmp_path / "viewer").resolve().name)

    assert len(set(builds)) == 3
    assert sorted(path.name for path in tmp_path.glob("viewer-*")) == sorted(builds[1:])
    assert not list(tmp_path.glob(".*viewer*"))


def test_the_folder_of_an_installation_before_there_were_builds_makes_room(ohif, package, tmp_path):
    old = tmp_path / "viewer"
    old.mkdir()
    (old / "index.html").write_text("the old one")

    ohif.install(tmp_path)

    assert old.is_symlink()
    assert "the old one" not in (old / "index.html").read_text()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.bundle.1.js", '__webpack_require__.p = "/"; init({ resources: all });'),
        ("102.bundle.4.js", "nothing to be found"),
        ("7.bundle.7.js", "no text without a language"),
        ("index.html", PAGE.replace("app-config.js", "settings.js")),
    ],
)
def test_a_package_of_another_form_is_refused_and_what_was_there_stays(
    ohif, package, tmp_path, monkeypatch, name, text
):
    ohif.install(tmp_path)
    before = (tmp_path / "viewer").resolve()
    monkeypatch.setattr(ohif, "VERSION", "9.9")
    package[name] = text

    with pytest.raises(ohif.NotFetched, match="built differently than expected"):
        ohif.install(tmp_path)

    assert (tmp_path / "viewer").resolve() == before
    assert not ohif.is_current(tmp_path)


def test_another_package_under_the_same_name_is_refused(ohif, package, tmp_path):
    ohif.SHA512 = "0" * 128

    with pytest.raises(ohif.NotFetched, match="not the package that was reviewed"):
        ohif.install(tmp_path)

    assert not (tmp_path / "viewer").exists()
