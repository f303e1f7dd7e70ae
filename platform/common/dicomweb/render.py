"""Pictures from frames: decoded, shaded or coloured, annotated, scaled, encoded.

PS3.18 §8.3.5 (rendering parameters) and PS3.4 §N.2 (pixel transformation sequence), 2024e. Works on
the attributes in the DICOM JSON model and the bytes of one frame, so that no file is opened.
"""

from __future__ import annotations

from PIL import Image

from common.dicomweb.render_color import with_palette
from common.dicomweb.render_grey import Window, shades_of
from common.dicomweb.render_notes import annotate
from common.dicomweb.render_picture import (
    MAX_SIDE,
    Picture,
    Region,
    encode,
    fitted,
    size_in,
    srgb_profile,
)
from common.dicomweb.render_pixels import MAX_SAMPLES, decoded, require_samples
from common.dicomweb.render_source import Attributes, ReadBulk, Source
from common.dicomweb.server import BadRequest, NotAcceptable

__all__ = [
    "MAX_SAMPLES",
    "MAX_SIDE",
    "Picture",
    "Region",
    "Window",
    "frame_ms",
    "render",
    "render_image",
    "require_renderable",
    "size_within",
]

_FRAME_MS, _LEAST_MS, _MOST_MS = 100, 20, 5_000
_ICC_PROFILE, _OPTICAL_PATHS = "00282000", "00480105"


def render(
    attributes: Attributes,
    frame: bytes,
    picture: Picture,
    *,
    transfer_syntax_uid: str,
    number: int = 1,
    bulk: ReadBulk | None = None,
) -> bytes:
    """The encoded picture of one frame. ``transfer_syntax_uid`` is the one of ``frame``.

    ``bulk`` reads a value that the attributes only refer to (long lookup tables).

    Raises:
        NotAcceptable: the frame cannot be decoded here, or is too large; the text says why.
        BadRequest: the source region holds no pixel.
    """
    source = Source(attributes, number, bulk)
    image = _image(source, frame, picture, transfer_syntax_uid)
    return encode(image, picture, _profile(source, picture))


def render_image(
    attributes: Attributes,
    frame: bytes,
    picture: Picture,
    *,
    transfer_syntax_uid: str,
    number: int = 1,
    bulk: ReadBulk | None = None,
) -> Image.Image:
    """The same, not encoded yet: a frame of an animation. Raises what ``render`` does."""
    return _image(Source(attributes, number, bulk), frame, picture, transfer_syntax_uid)


def require_renderable(attributes: Attributes, frame_bytes: int) -> int:
    """Samples of one frame, by its attributes; asked before the frame is read.

    Raises:
        NotAcceptable: there is no picture, or it is too large, or ``frame_bytes`` is.
    """
    samples = require_samples(Source(attributes))
    # Lossless compression of noise grows a little; what is twice its pixels holds something else.
    if frame_bytes > 16 * samples + 2**20:
        raise NotAcceptable("The frame is too large for its number of pixels.")
    return samples


def size_within(attributes: Attributes, most_pixels: int) -> tuple[int, int]:
    """The largest viewport in which a picture of this image has at most so many pixels."""
    source = Source(attributes)
    scale = min(1.0, (most_pixels / max(1, source.rows * source.columns)) ** 0.5)
    return size_in(None, (max(1.0, source.columns * scale), max(1.0, source.rows * scale)))


def frame_ms(attributes: Attributes) -> int:
    """How long a frame of a cine is shown (PS3.3 C.7.6.5, Cine Module)."""
    source = Source(attributes)
    each = source.real("00181063")  # Frame Time
    if each is None:
        rate = source.real("00082144") or source.real("00180040")  # recommended, or as taken
        each = 1_000 / rate if rate and rate > 0 else float(_FRAME_MS)
    return round(min(max(each, _LEAST_MS), _MOST_MS))


def _image(source: Source, frame: bytes, picture: Picture, syntax: str) -> Image.Image:
    pixels = decoded(source, frame, syntax)
    if source.is_color:
        shown = pixels
    elif source.photometric == "PALETTE COLOR":
        shown = with_palette(source, pixels)
    else:
        shown = shades_of(source, pixels, picture.window)
    return annotate(fitted(Image.fromarray(shown), picture), source, picture.notes)


def _profile(source: Source, picture: Picture) -> bytes:
    """The profile to embed (PS3.18 §8.3.5.1.5); nothing is converted between profiles."""
    if picture.profile == "no":
        return b""
    paths = source.item(_OPTICAL_PATHS)
    own = source.octets(_ICC_PROFILE) or (source.octets(_ICC_PROFILE, paths) if paths else b"")
    if picture.profile == "srgb" and own:
        raise BadRequest("The image has a colour profile of its own: ask for iccprofile=yes.")
    return own or srgb_profile()
