"""OHIF in a real browser: a build of it, the page of a reader, and what its canvases show."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.services import program, unavailable

ROOT = Path(__file__).resolve().parents[2]
# Reviewed: what the viewer's libraries complain of though nothing is wrong with what they were given.
HARMLESS = (
    "Invalid vr type ox - using OW",  # dcmjs, of pixel data whose VR depends on the context
)
SMALL = {"width": 900, "height": 600}  # a picture drawn in software takes its time by its size
SCREENSHOTS = os.environ.get("OHIF_SCREENSHOTS", "")


@pytest.fixture(scope="session")
def ohif_build() -> Path:
    """The folder of a build, made once in the user's cache by the product's own script; skips without npm."""
    program("npm", "NPM_BIN", "npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imaging-cloud/ohif"
    made = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "ohif.py"), str(cache)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode and "could not fetch" in made.stderr:
        unavailable("npm")
    assert made.returncode == 0, made.stderr
    return (cache / "viewer").resolve()


def install(build: Path, data_dir: Path) -> None:
    """Let an installation serve this build."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / build.name).symlink_to(build)
    (data_dir / "viewer").symlink_to(build.name)


@dataclass
class Viewer:
    """A reader's browser tab with OHIF, and what went wrong in it."""

    page: Any
    url: str  # of the site, its prefix included, without a slash at the end
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note_request)
        self.page.on("response", self._note_answer)

    def _note(self, message: Any) -> None:
        if message.type == "error" and not any(one in message.text for one in HARMLESS):
            self.complaints.append(message.text)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", "blob:", "data:")):
            self.foreign.append(request.url)

    def _note_answer(self, answer: Any) -> None:
        if answer.status >= 400:
            self.refused.append(f"{answer.status} {answer.url}")

    def open(self, *studies: str, protocol: str = "", viewports: int = 1) -> None:
        """Open studies and wait until this many viewports show a picture."""
        asked = f"StudyInstanceUIDs={','.join(studies)}"
        if protocol:
            asked += f"&hangingProtocolId={protocol}"
        self.page.goto(f"{self.url}/viewer/viewer?{asked}")
        self.wait_for_pictures(viewports)

    def wait_for_pictures(self, viewports: int = 1) -> None:
        self.page.wait_for_function(
            """count => {
                const all = [...document.querySelectorAll('canvas.cornerstone-canvas')];
                return all.length >= count && all.every(canvas => {
                    const context = canvas.getContext('2d');
                    if (!canvas.width || !context) return false;
                    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
                    let low = 255, high = 0;
                    for (let at = 0; at < data.length; at += 4) {
                        low = Math.min(low, data[at]); high = Math.max(high, data[at]);
                    }
                    return high - low > 50;
                });
            }""",
            arg=viewports,
            timeout=60_000,
        )

    def pictures(self) -> list[np.ndarray[Any, Any]]:
        """What the viewports show, as grey values, without the texts that lie over them."""
        urls = self.page.evaluate(
            "[...document.querySelectorAll('canvas.cornerstone-canvas')].map(c => c.toDataURL())"
        )
        return [_grey(url) for url in urls]

    def overlay(self, corner: str) -> str:
        """The text in a corner of the first viewport: ``top-left``, ``bottom-right`` …"""
        text: str = self.page.locator(f'[data-cy="viewport-overlay-{corner}"]').first.inner_text()
        return re.sub(r"\s+", " ", text).strip()

    def shoot(self, name: str) -> None:
        """A picture of the tab for the people who look at it, where ``OHIF_SCREENSHOTS`` names a folder."""
        if SCREENSHOTS:
            self.page.screenshot(path=f"{SCREENSHOTS}/{name}.png", timeout=60_000)

    def assert_clean(self) -> None:
        """No request left the site, none was refused, and nothing was complained of."""
        assert self.foreign == []
        assert self.refused == []
        assert self.complaints == []


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """``tab(url, session_cookies, language)`` opens a Viewer in a browser context of its own."""
    contexts: list[Any] = []

    def open_tab(url: str, session: str, *, language: str = "zh-CN") -> Viewer:
        context = chromium.new_context(viewport=SMALL, locale=language)
        contexts.append(context)
        context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        return Viewer(context.new_page(), url)

    yield open_tab
    for context in contexts:
        context.close()


def likeness(shown: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """Correlation of what a viewport shows with a picture that is fitted into it; 1 for the same picture."""
    height, width = shown.shape
    scale = min(height / expected.shape[0], width / expected.shape[1])
    size = round(expected.shape[1] * scale), round(expected.shape[0] * scale)
    fitted = Image.fromarray(expected.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    cut = shown[top : top + size[1], left : left + size[0]]
    return float(np.corrcoef(cut.ravel(), np.asarray(fitted)[: cut.shape[0]].ravel())[0, 1])


def _grey(url: str) -> np.ndarray[Any, Any]:
    data = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)
