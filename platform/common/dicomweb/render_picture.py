"""From shades or colours to an encoded picture: region, flip, scale, profile, JPEG, PNG and GIF."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image, ImageCms

from common.dicomweb.render_grey import Window
from common.dicomweb.render_notes import Note
from common.dicomweb.server import BadRequest

Profile = Literal["no", "yes", "srgb"]

MAX_SIDE = 4_096
# Large pictures are first reduced by whole pixels, close to the size that is wanted: half the time, and less than
# one shade of difference in the mean.
_LARGE_PIXELS = 2**21
_CLOSE_GAP, _FAR_GAP = 1.2, 2.0
JPEG, PNG, GIF = "image/jpeg", "image/png", "image/gif"


@dataclass(frozen=True)
class Region:
    """A part of the source image in pixels, decimals allowed; a negative side flips (PS3.18 §8.3.5.1.3)."""

    x: float = 0.0
    y: float = 0.0
    width: float | None = None
    height: float | None = None
    relative: bool = False  # in parts of the image instead


@dataclass(frozen=True)
class Picture:
    """What is wanted: media type, JPEG quality, largest sides, and what stands in place of the image's own."""

    media_type: str = JPEG
    quality: int = 90
    viewport: tuple[int, int] | None = None
    region: Region | None = None
    window: Window | None = None
    notes: tuple[Note, ...] = ()
    profile: Profile = "no"


def fitted(image: Image.Image, picture: Picture) -> Image.Image:
    """The region of the image, flipped, and scaled as large as the viewport holds (PS3.18 §8.3.5.1.3).

    Raises:
        BadRequest: the region lies outside of the image.
    """
    left, top, right, bottom = box = _box(image, picture.region)
    size = size_in(picture.viewport, (right - left, bottom - top))
    if size != image.size or box != (0.0, 0.0, float(image.width), float(image.height)):
        gap = _CLOSE_GAP if image.width * image.height >= _LARGE_PIXELS else _FAR_GAP
        image = image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=gap)
    if picture.region and (picture.region.width or 0) < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if picture.region and (picture.region.height or 0) < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def size_in(viewport: tuple[int, int] | None, sides: tuple[float, float]) -> tuple[int, int]:
    """The size of a picture in this viewport, its proportions kept."""
    width, height = viewport or sides
    scale = min(width / sides[0], height / sides[1], MAX_SIDE / max(sides))
    return max(1, round(sides[0] * scale)), max(1, round(sides[1] * scale))


def _box(image: Image.Image, region: Region | None) -> tuple[float, float, float, float]:
    if region is None:
        return (0.0, 0.0, float(image.width), float(image.height))
    across, down = image.size if region.relative else (1, 1)
    left, right = _span(region.x * across, region.width, across, image.width)
    top, bottom = _span(region.y * down, region.height, down, image.height)
    if right - left < 1 or bottom - top < 1:
        raise BadRequest("The source region holds no pixel of the image.")
    return (left, top, right, bottom)


def _span(start: float, length: float | None, unit: int, most: int) -> tuple[float, float]:
    """From where to where, within the image."""
    end = float(most) if length is None else abs(start) + abs(length) * unit
    return abs(start), min(end, float(most))


def encode(image: Image.Image, picture: Picture, profile: bytes = b"") -> bytes:
    """The picture in its media type."""
    file = io.BytesIO()
    if profile and image.mode == "L":
        image = image.convert("RGB")  # the profiles are those of colours
    if picture.media_type == PNG:
        image.save(file, "PNG", compress_level=3, icc_profile=profile or None)
    elif picture.media_type == GIF:
        _indexed(image).save(file, "GIF")
    else:
        image.save(file, "JPEG", quality=picture.quality, icc_profile=profile)
    return file.getvalue()


def animate(images: Iterable[Image.Image], milliseconds: int) -> bytes:
    """One GIF that repeats for ever. All frames are held until it is written."""
    frames: Iterator[Image.Image] = map(_indexed, images)
    file = io.BytesIO()
    next(frames).save(
        file, "GIF", save_all=True, append_images=frames, duration=milliseconds, loop=0
    )
    return file.getvalue()


def _indexed(image: Image.Image) -> Image.Image:
    if image.mode == "L":
        return image
    return image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """sRGB as a profile, the same bytes each time: its date of making is left out."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]
