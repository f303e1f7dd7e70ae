"""Text burned into pictures: ``annotation=patient,technique`` (PS3.18 §8.3.5.1.1, 2024e).

Names may be Chinese, and no font is part of the product: the system's own are looked for (fontconfig, then the
usual folders). Where none has Han characters, a name is written in its alphabetic form or in pinyin.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont
from pypinyin import lazy_pinyin

from common.dicomweb.render_source import Source

Note = Literal["patient", "technique"]
NOTES: tuple[Note, ...] = ("patient", "technique")

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts")
_FILES = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
)
_MOST_CHARS = 64  # of one line
_LINES_HIGH = 40  # a line takes this part of the shorter side
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def annotate(image: Image.Image, source: Source, notes: Sequence[Note]) -> Image.Image:
    """The picture with the patient at the top left, and how it was made at the bottom left."""
    if not notes:
        return image
    size = max(9, min(image.size) // _LINES_HIGH)
    font, draw = _font(size), ImageDraw.Draw(image)
    margin, step = size // 2, round(size * 1.35)
    if "patient" in notes:
        _write(draw, font, (margin, margin), step, patient_lines(source))
    if "technique" in notes:
        lines = technique_lines(source)
        _write(draw, font, (margin, image.height - margin - step * len(lines)), step, lines)
    return image


def _write(
    draw: ImageDraw.ImageDraw, font: _Font, place: tuple[int, int], step: int, lines: list[str]
) -> None:
    light, dark = (255, 0) if draw.im is not None and draw.mode == "L" else ("white", "black")
    for row, line in enumerate(lines):
        where = place[0], place[1] + row * step
        draw.text(where, line, fill=light, font=font, stroke_width=1, stroke_fill=dark)


def patient_lines(source: Source) -> list[str]:
    """Name, number, birth date and sex."""
    birth = _joined(_day(source.text("00100030")), source.text("00100040"))
    return _filled(_name(source), _shown(source.text("00100020")), _shown(birth))


def technique_lines(source: Source) -> list[str]:
    """When, what and how, as far as the header says it."""
    when = _joined(_day(source.text("00080020")), _hour(source.text("00080030")))
    what = _joined(source.text("00080060"), source.text("00180015"), source.text("0008103E"))
    place = _joined(
        _labelled("Se", source, "00200011"),
        _labelled("Im", source, "00200013"),
        f"Fr {source.number}" if source.whole("00280008", 1) > 1 else "",
    )
    exposure = _joined(
        _labelled("", source, "00180060", " kV"),
        _labelled("", source, "00181151", " mA"),
        _labelled("", source, "00180050", " mm"),
        _labelled("TR ", source, "00180080"),
        _labelled("TE ", source, "00180081"),
    )
    return [_shown(each) for each in _filled(when, what, place, exposure)]


def _name(source: Source) -> str:
    names = source.values("00100010")
    first = names[0] if names and isinstance(names[0], Mapping) else {}
    ideographic, alphabetic = (_plain(first.get(key)) for key in ("Ideographic", "Alphabetic"))
    for candidate in (ideographic, alphabetic):
        if candidate and can_write(candidate):
            return candidate[:_MOST_CHARS]
    return _shown(alphabetic or ideographic)


def _plain(name: Any) -> str:
    return " ".join(part for part in str(name or "").split("^") if part)


def can_write(text: str) -> bool:
    """Whether the font at hand has these characters."""
    return text.isascii() or bool(_font_file())


def _shown(text: str) -> str:
    if not can_write(text):
        syllables = " ".join(lazy_pinyin(text)).split()
        text = " ".join(syllables).encode("ascii", "replace").decode()
    return "".join(letter for letter in text if letter.isprintable())[:_MOST_CHARS]


@lru_cache(maxsize=32)
def _font(size: int) -> _Font:
    file = _font_file()
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@lru_cache(maxsize=1)
def _font_file() -> str:
    """A font of the system with Han characters; empty where there is none."""
    return next((path for path in _candidates() if _opens(path)), "")


def _candidates() -> Iterator[str]:
    tool = shutil.which("fc-match")
    if tool:
        asked = [tool, "--format=%{file}|%{lang}", "sans:lang=zh-cn"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
        file, _, languages = found.stdout.partition("|")
        if "zh-cn" in languages.split("|"):  # fontconfig names some font in any case
            yield file
    for folder in _FOLDERS:
        for name in _FILES:
            yield from map(str, Path(folder).rglob(name))


def _opens(path: str) -> bool:
    try:
        ImageFont.truetype(path, 12)
    except OSError:
        return False
    return True


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 else text


def _hour(text: str) -> str:
    return f"{text[:2]}:{text[2:4]}" if len(text) >= 4 else ""


def _labelled(label: str, source: Source, tag: str, unit: str = "") -> str:
    value = source.text(tag)
    return f"{label} {value}{unit}".strip() if value else ""


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _filled(*lines: str) -> list[str]:
    return [line for line in lines if line]
