"""Query parameters of rendered resources (PS3.18 §8.3.5.1, 2024e), read into a ``Picture``."""

from __future__ import annotations

from functools import lru_cache

from django.http import QueryDict

from common.dicomweb.render import MAX_SIDE, Picture, Region, Window
from common.dicomweb.render_grey import Voi
from common.dicomweb.render_notes import NOTES, Note
from common.dicomweb.render_picture import Profile
from common.dicomweb.server import BadRequest

KNOWN = ("window", "viewport", "quality", "annotation", "iccprofile")
_MOST_WINDOW, _LEAST_WIDTH = 1e9, 1e-6  # no stored value lies outside
_MOST_REGION = 1e6
_FUNCTIONS: dict[str, Voi] = {
    "": "linear",
    "linear": "linear",
    "linear-exact": "linear-exact",
    "sigmoid": "sigmoid",
}
_PROFILES: dict[str, Profile] = {"": "no", "no": "no", "yes": "yes", "srgb": "srgb"}


@lru_cache(maxsize=1024)
def read_picture(query: str, *, viewport: tuple[int, int] | None, quality: int) -> Picture:
    """What the query asks for; ``viewport`` and ``quality`` where it says nothing. The media type is not in it.

    Raises:
        BadRequest: a parameter is not of its form, or asks for what is not offered.
    """
    given = QueryDict(query)
    asked, region = read_viewport(given.get("viewport", ""))
    return Picture(
        quality=read_quality(given.get("quality", ""), quality),
        viewport=asked or viewport,
        region=region,
        window=read_window(given.get("window", "")),
        notes=read_notes(given.get("annotation", ""))[0],
        profile=read_profile(given.get("iccprofile", "")),
    )


def read_window(text: str) -> Window | None:
    """``center,width,function`` (§8.3.5.1.4).

    Raises:
        BadRequest: not of that form.
    """
    if not text:
        return None
    center, width, function = (*text.split(","), "", "")[:3]
    try:
        values = float(center), float(width)
    except ValueError as error:
        raise BadRequest("The window is not of the form center,width,function.") from error
    known = function.strip().lower().replace("_", "-")
    if known not in _FUNCTIONS or not _is_window(*values):
        raise BadRequest(
            "The window needs a width above 0 and linear, linear-exact or sigmoid as function."
        )
    return Window(*values, function=_FUNCTIONS[known])


def _is_window(center: float, width: float) -> bool:
    """Whether both are numbers that pixels can have; a NaN is not."""
    return abs(center) <= _MOST_WINDOW and _LEAST_WIDTH <= width <= _MOST_WINDOW


def read_viewport(text: str) -> tuple[tuple[int, int] | None, Region | None]:
    """``vw,vh`` or ``vw,vh,sx,sy,sw,sh`` (§8.3.5.1.3): the size, and the source region where one is named.

    Raises:
        BadRequest: not of that form, or larger than is rendered.
    """
    if not text:
        return None, None
    width, _comma, further = text.partition(",")
    height, *rest = further.split(",")
    if len(rest) > 4 or not (_is_whole(width) and _is_whole(height)):
        raise BadRequest(
            "The viewport is not of the form width,height or width,height,sx,sy,sw,sh."
        )
    # Cut behind the digits that matter: what is longer is too large in any case.
    size = int(width.lstrip("0")[:6] or "0"), int(height.lstrip("0")[:6] or "0")
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise BadRequest(f"The viewport has sides of 1 to {MAX_SIDE}.")
    return size, _region(rest) if any(rest) else None


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _region(pieces: list[str]) -> Region:
    try:
        found = [float(each) if each else None for each in (*pieces, "", "", "", "")[:4]]
    except ValueError as error:
        raise BadRequest("The source region of the viewport is made of numbers.") from error
    if any(each is not None and not abs(each) <= _MOST_REGION for each in found):  # nor a NaN
        raise BadRequest("The source region of the viewport is made of numbers.")
    x, y, width, height = found
    if 0 in (width, height):
        raise BadRequest("The source region of the viewport holds no pixel of the image.")
    return Region(x or 0.0, y or 0.0, width, height)


def read_quality(text: str, default: int) -> int:
    """1 to 100 (§8.3.5.1.2).

    Raises:
        BadRequest: something else.
    """
    if not text:
        return default
    if not (_is_whole(text) and len(text) <= 3 and 1 <= int(text) <= 100):
        raise BadRequest("The quality is a whole number from 1 to 100.")
    return int(text)


def read_notes(text: str) -> tuple[tuple[Note, ...], int]:
    """``annotation`` (§8.3.5.1.1): what is burned in, and how many keywords are not known here."""
    asked = {each.strip().lower() for each in text.split(",") if each.strip()}
    return tuple(note for note in NOTES if note in asked), len(asked - set(NOTES))


def read_profile(text: str) -> Profile:
    """``iccprofile`` (§8.3.5.1.5).

    Raises:
        BadRequest: a profile that is not offered.
    """
    found = _PROFILES.get(text.strip().lower())
    if found is None:
        raise BadRequest("As iccprofile, no, yes and srgb are offered.")
    return found
