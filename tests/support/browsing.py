"""People in real browsers: a page in a language, a width and a scheme of colours; its complaints; axe on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client

WIDE, PHONE = 1440, 390
SETTLED_MS = 500
# Rules that are no success criterion of WCAG but that screen readers live by.
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """async (tags) => {
  const found = await axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']});
  const said = (node) => node.target.join(' ') + ' ' + (node.any[0]?.message ?? node.all[0]?.message ?? '');
  return found.violations.map((each) => each.id + ': ' + each.nodes.slice(0, 4).map(said).join(' | '));
}"""


@dataclass
class Reader:
    """Somebody at a screen. ``complaints`` are what the console said against the page."""

    page: Any
    url: str
    axe: Path | None = None
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)
        self.page.wait_for_timeout(
            SETTLED_MS
        )  # what htmx loads into it; some pages ask again for ever

    def judge(self) -> list[str]:
        """What axe finds wrong with the page as it stands, and whether it is wider than the screen."""
        found: list[str] = []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            found += [f"{scheme}: {each}" for each in self.page.evaluate(_RUN, _TAGS)]
        self.page.emulate_media(color_scheme="light")
        width = self.page.viewport_size["width"]
        if self.page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"wider than {width} pixels")
        return found

    def shoot(self, name: str) -> None:
        """A picture of the page, where somebody looks at them (``SHOTS_DIR``); never in the repository."""
        if directory := os.environ.get("SHOTS_DIR"):
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


@contextmanager
def reading(
    chromium: Any,
    client: Client,
    url: str,
    *,
    language: str = "zh-CN",
    width: int = WIDE,
    axe: Path | None = None,
) -> Iterator[Reader]:
    """A browser in which the person of ``client`` is logged in."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900 if width > PHONE else 844},
        locale=language,
        has_touch=width <= PHONE,
    )
    if axe is not None:
        context.add_init_script(
            path=axe
        )  # by the browser itself: the page's policy allows no other script
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])
    reader = Reader(context.new_page(), url, axe)
    reader.page.on("console", lambda message: _hear(reader, message))
    reader.page.on("pageerror", lambda error: reader.complaints.append(str(error)))
    try:
        yield reader
    finally:
        context.close()


def _hear(reader: Reader, message: Any) -> None:
    # What the archive of a test does not hold: these rows have no packs.
    where = str(message.location.get("url", ""))
    of_archive = any(part in where for part in ("thumbnail", "slices.json", "/rendered"))
    if message.type in {"error", "warning"} and not of_archive:
        reader.complaints.append(f"{message.text} {where}")
