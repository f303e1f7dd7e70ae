"""Pictures from frames: modality and VOI transformations in numpy, JPEG and PNG by pillow.

PS3.18 §8.3.5 (rendering parameters) and PS3.4 §N.2 (pixel transformation sequence), 2024e. Works on
the attributes in the DICOM JSON model and the bytes of one frame, so that no file is opened.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian

from common.dicomweb.codestream import pixels_said
from common.dicomweb.server import NotAcceptable

Attributes = Mapping[str, Any]
Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Voi = Literal["linear", "linear-exact", "sigmoid"]

MAX_SAMPLES = 64 * 2**20  # of one frame: some 8,000 by 8,000
LARGE_SAMPLES = 16 * 2**20  # from here on a frame takes hundreds of megabytes to render
MAX_SIDE = 4_096
_DICOM_VOI: dict[str, Voi] = {
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear-exact",
    "SIGMOID": "sigmoid",
}


@dataclass(frozen=True)
class Window:
    """Window centre, width and function (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

    center: float
    width: float
    function: Voi = "linear"


@dataclass(frozen=True)
class Picture:
    """What is wanted: media type, JPEG quality, largest sides, window in place of the image's own."""

    media_type: str = "image/jpeg"
    quality: int = 90
    viewport: tuple[int, int] | None = None
    window: Window | None = None


def render(
    attributes: Attributes,
    frame: bytes,
    picture: Picture,
    *,
    transfer_syntax_uid: str,
    number: int = 1,
    bulk: Callable[[str], bytes] | None = None,
) -> bytes:
    """The encoded picture of one frame. ``transfer_syntax_uid`` is the one of ``frame``.

    ``bulk`` reads a value that the attributes only refer to (long lookup tables).

    Raises:
        NotAcceptable: the frame cannot be decoded here, or is too large; the text says why.
    """
    source = _Source(attributes, number, bulk)
    pixels = _decode(source, frame, transfer_syntax_uid)
    image = Image.fromarray(_to_8_bit(source, pixels, picture.window))
    return _encode(_fitted(image, picture.viewport), picture)


def require_renderable(attributes: Attributes, frame_bytes: int) -> int:
    """Samples of one frame, by its attributes; asked before the frame is read.

    Raises:
        NotAcceptable: there is no picture, or it is too large, or ``frame_bytes`` is.
    """
    samples = _samples(_Source(attributes, 1, None))
    # Lossless compression of noise grows a little; what is twice its pixels holds something else.
    if frame_bytes > 16 * samples + 2**20:
        raise NotAcceptable("The frame is too large for its number of pixels.")
    return samples


class _Source:
    """Attributes of the image, with those of the frame's functional groups before them."""

    def __init__(
        self, attributes: Attributes, number: int, bulk: Callable[[str], bytes] | None
    ) -> None:
        self._places = [*_functional_groups(attributes, number), attributes]
        self._bulk = bulk

    def values(self, tag: str) -> list[Any]:
        for place in self._places:
            found = place.get(tag, {}).get("Value")
            if found:
                return list(found)
        return []

    def text(self, tag: str) -> str:
        return str(next(iter(self.values(tag)), ""))

    def whole(self, tag: str, default: int = 0) -> int:
        try:
            return int(next(iter(self.values(tag)), default))
        except (TypeError, ValueError):
            return default

    def real(self, tag: str) -> float | None:
        try:
            return float(self.values(tag)[0])
        except (IndexError, TypeError, ValueError):
            return None

    def words(self, tag: str, place: Attributes | None = None) -> Array | None:
        """A lookup table's data as 16-bit words, wherever it stands."""
        for each in [place] if place is not None else self._places:
            element = each.get(tag, {})
            if "InlineBinary" in element:
                return np.frombuffer(_even(base64.b64decode(element["InlineBinary"])), "<u2")
            if "BulkDataURI" in element and self._bulk is not None:
                return np.frombuffer(_even(self._bulk(element["BulkDataURI"])), "<u2")
            if element.get("Value"):
                return np.array(element["Value"], dtype=np.int64).astype(np.uint16)
        return None

    @property
    def is_color(self) -> bool:
        return self.whole("00280002", 1) > 1


def _functional_groups(attributes: Attributes, number: int) -> list[Attributes]:
    """Macros of this frame and those shared by all that transform pixel values (PS3.3 C.7.6.16)."""
    per_frame = attributes.get("52009230", {}).get("Value", [])
    groups = [per_frame[number - 1]] if len(per_frame) >= number else []
    groups += attributes.get("52009229", {}).get("Value", [])[:1]
    found: list[Attributes] = []
    for group in groups:
        for tag in ("00289145", "00289132"):  # Pixel Value Transformation, Frame VOI LUT
            found += group.get(tag, {}).get("Value", [])[:1]
    return found


def _samples(source: _Source) -> int:
    """Rows, columns and samples of a pixel, multiplied; refused where nobody can render so many."""
    rows, columns = source.whole("00280010"), source.whole("00280011")
    samples = source.whole("00280002", 1)
    if rows < 1 or columns < 1 or samples not in {1, 3, 4}:
        raise NotAcceptable("This instance has no picture that can be shown.")
    if rows * columns * samples > MAX_SAMPLES:
        raise NotAcceptable(f"A frame of {columns} by {rows} is too large to be rendered here.")
    return rows * columns * samples


def _decode(source: _Source, frame: bytes, transfer_syntax_uid: str) -> Array:
    declared = _samples(source)
    rows, columns = source.whole("00280010"), source.whole("00280011")
    samples = source.whole("00280002", 1)
    uid = UID(transfer_syntax_uid)
    native = uid == ExplicitVRLittleEndian  # the only one that frames of native pixels come in
    if not native and pixels_said(frame) * samples > max(declared, LARGE_SAMPLES):
        # Decoders make room for what the stream says, whatever the header says; and who renders
        # large frames a few at a time knows the header only.
        raise NotAcceptable("The compressed frame says it is larger than is rendered here.")
    options: dict[str, Any] = {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": samples,
        "photometric_interpretation": source.text("00280004") or "MONOCHROME2",
        "bits_allocated": source.whole("00280100", 8),
        "bits_stored": source.whole("00280101", source.whole("00280100", 8)),
        "pixel_representation": source.whole("00280103"),
        "planar_configuration": source.whole("00280006"),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    try:
        decoder = get_decoder(uid)
        data = _even(frame) if native else encapsulate([frame])
        pixels, _ = decoder.as_array(data, index=0, **options)
    except Exception as error:  # codecs raise what they like on bytes from outside
        raise NotAcceptable(
            f"Frames in the transfer syntax {uid.name} cannot be decoded here: "
            "retrieve the instance or its frames instead."
        ) from error
    return np.asarray(pixels)


def _to_8_bit(source: _Source, pixels: Array, window: Window | None) -> Bytes:
    kind = source.text("00280004")
    if kind == "PALETTE COLOR":
        return _with_palette(source, pixels)
    if source.is_color:
        return _shifted(pixels[..., :3], source.whole("00280101", 8))
    values = _modality_values(source, pixels)
    grey = _with_voi(source, values, window)
    inverse = kind == "MONOCHROME1" or source.text("20500020") == "INVERSE"
    return 255 - grey if inverse else grey


def _shifted(pixels: Array, bits_stored: int) -> Bytes:
    return (pixels >> (bits_stored - 8) if bits_stored > 8 else pixels).astype(np.uint8)


def _with_palette(source: _Source, pixels: Array) -> Bytes:
    """Red, green and blue lookup tables (PS3.3 C.7.6.3.1.5 and 6)."""
    channels = []
    for descriptor_tag, data_tag in (
        ("00281101", "00281201"),
        ("00281102", "00281202"),
        ("00281103", "00281203"),
    ):
        descriptor, data = source.values(descriptor_tag), source.words(data_tag)
        if len(descriptor) < 3 or data is None or not data.size:
            raise NotAcceptable("The palette of this image is missing or segmented.")
        count, first, bits = int(descriptor[0]) or 65_536, int(descriptor[1]), int(descriptor[2])
        if bits == 8 and data.size < count:  # packed, two entries in a word
            data = data.view(np.uint8)
        table = data[:count]
        picked = table[np.clip(pixels.astype(np.int64) - first, 0, table.size - 1)]
        # Some writers say 16 bits and fill 8 only: then the table never leaves the low byte.
        channels.append((picked >> 8 if bits > 8 and int(table.max()) > 255 else picked) & 255)
    return np.stack(channels, axis=-1).astype(np.uint8)


def _modality_values(source: _Source, pixels: Array) -> Array:
    tables = source.values("00283000")
    if tables and isinstance(tables[0], Mapping):
        looked_up = _looked_up(source, tables[0], pixels)
        if looked_up is not None:
            return looked_up
    slope, intercept = source.real("00281053"), source.real("00281052")
    if slope is None and intercept is None:
        return pixels
    scaled = pixels.astype(np.float32)
    scaled *= 1.0 if slope is None else slope
    scaled += intercept or 0.0
    return scaled


def _with_voi(source: _Source, values: Array, window: Window | None) -> Bytes:
    chosen = window or _own_window(source)
    if chosen is None:
        tables = source.values("00283010")
        if tables and isinstance(tables[0], Mapping):
            looked_up = _looked_up(source, tables[0], values)
            if looked_up is not None:
                return _stretched(looked_up)
        return _stretched(values)
    return _windowed(values, chosen)


def _own_window(source: _Source) -> Window | None:
    center, width = source.real("00281050"), source.real("00281051")
    if center is None or width is None or width <= 0:
        return None
    return Window(center, width, _DICOM_VOI.get(source.text("00281056"), "linear"))


def _windowed(values: Array, window: Window) -> Bytes:
    x = values.astype(np.float32)
    if window.function == "sigmoid":
        exponent = np.clip(-4 * (x - window.center) / window.width, -60, 60)
        return np.asarray(255 / (1 + np.exp(exponent)), np.uint8)
    if window.function == "linear":
        # PS3.3 C.11.2.1.2.1: half a step below the centre, one step less of width.
        scaled = (x - (window.center - 0.5)) / max(window.width - 1, 1e-6) + 0.5
    else:
        scaled = (x - window.center) / window.width + 0.5
    return np.asarray(np.rint(np.clip(scaled, 0, 1) * 255), np.uint8)


def _stretched(values: Array) -> Bytes:
    """From the smallest to the largest value, where the image says nothing."""
    x = values.astype(np.float32)
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    if not high > low:
        return np.zeros(x.shape, np.uint8)
    return np.asarray(np.rint(np.nan_to_num((x - low) / (high - low)) * 255), np.uint8)


def _looked_up(source: _Source, table: Attributes, values: Array) -> Array | None:
    descriptor = table.get("00283002", {}).get("Value", [])
    data = source.words("00283006", table)
    if len(descriptor) < 3 or data is None or not data.size:
        return None
    entries = data[: int(descriptor[0]) or 65_536]
    positions = np.clip(values.astype(np.int64) - int(descriptor[1]), 0, entries.size - 1)
    return np.asarray(entries[positions])


def _fitted(image: Image.Image, viewport: Sequence[int] | None) -> Image.Image:
    """Scaled to the viewport, keeping its proportions (PS3.18 §8.3.5.1.3)."""
    width, height = viewport or image.size
    scale = min(width / image.width, height / image.height, MAX_SIDE / max(image.size))
    if scale == 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _encode(image: Image.Image, picture: Picture) -> bytes:
    file = io.BytesIO()
    if picture.media_type == "image/png":
        image.save(file, "PNG", compress_level=3)
    else:
        image.save(file, "JPEG", quality=picture.quality)
    return file.getvalue()


def _even(data: bytes) -> bytes:
    return data + b"\x00" if len(data) % 2 else data
