"""Native frames to arrays and back: cells, planes, packed bits, shared colour (PS3.5 section 8.1)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from common.dicom.codecs.errors import NotDecodable
from common.dicom.codecs.spec import PixelSpec

Array = npt.NDArray[Any]


def dtype_of(spec: PixelSpec) -> np.dtype[Any]:
    """The little endian type of one cell."""
    if spec.bits_allocated == 1:
        return np.dtype("u1")
    return np.dtype(f"<{'i' if spec.signed else 'u'}{spec.bits_allocated // 8}")


def read_native(data: bytes, spec: PixelSpec) -> Array:
    """(rows, columns) or (rows, columns, samples) of a native frame; shared colour spread over its pixels.

    Raises:
        NotDecodable: the frame is shorter than its header says.
    """
    shape = _shape(spec)
    if len(data) < spec.native_bytes:
        raise NotDecodable("The frame is shorter than its header says.")
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[: spec.rows * spec.columns * spec.samples].reshape(shape)
    cells = np.frombuffer(data, dtype_of(spec), count=spec.native_bytes * 8 // spec.bits_allocated)
    if spec.is_422:
        return _spread(cells, spec)
    if spec.by_plane:
        planes = cells.reshape(spec.samples, spec.rows, spec.columns)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))
    return cells.reshape(shape)


def write_native(pixels: Array, spec: PixelSpec) -> bytes:
    """The native frame that the header describes."""
    if spec.bits_allocated == 1:
        return np.packbits(pixels.reshape(-1) != 0, bitorder="little").tobytes()
    if spec.is_422:
        pixels = _shared(pixels, spec)
    elif spec.by_plane:
        pixels = pixels.transpose(2, 0, 1)
    return pixels.astype(dtype_of(spec), copy=False).tobytes()


def fit_cells(pixels: Array, spec: PixelSpec) -> Array:
    """Decoded samples in the shape and cells that the header names; the sign extended.

    Raises:
        NotDecodable: the codestream holds another picture than the header describes.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.shape != _shape(spec):
        raise NotDecodable("The codestream holds a picture of another shape than the header says.")
    cell = dtype_of(spec)
    if pixels.dtype.itemsize > cell.itemsize and not _fits(pixels, spec):
        raise NotDecodable("The codestream has more bits than the header says.")
    if pixels.dtype.itemsize < cell.itemsize or pixels.dtype.byteorder == ">":
        pixels = pixels.astype(cell.str.replace("i", "u") if pixels.dtype.kind == "u" else cell)
    elif pixels.dtype.itemsize > cell.itemsize:
        pixels = pixels.astype(cell)
    if spec.signed and pixels.dtype.kind == "u":
        return _signed(pixels, spec)
    if not spec.signed and pixels.dtype.kind == "i":
        return _unsigned(pixels, spec)
    return pixels


def _shape(spec: PixelSpec) -> tuple[int, ...]:
    shape = (spec.rows, spec.columns)
    return shape if spec.samples == 1 else (*shape, spec.samples)


def _fits(pixels: Array, spec: PixelSpec) -> bool:
    most = 1 << max(spec.bits_allocated, 1)
    return bool(pixels.min() >= -(most // 2) and pixels.max() < most)


def _signed(pixels: Array, spec: PixelSpec) -> Array:
    """Codecs without a sign give two's complement; its sign fills the cell (PS3.5 section 8.1.1)."""
    extra = pixels.dtype.itemsize * 8 - spec.bits_stored
    found = pixels.view(pixels.dtype.str.replace("u", "i"))
    # Cells that use more than the stored bits were extended before they were encoded.
    if extra and int(pixels.max()) < 1 << spec.bits_stored:
        return np.asarray((found << extra) >> extra)
    return np.asarray(found)


def _unsigned(pixels: Array, spec: PixelSpec) -> Array:
    found = pixels.view(pixels.dtype.str.replace("i", "u"))
    extra = pixels.dtype.itemsize * 8 - spec.bits_stored
    return np.asarray(found & found.dtype.type((1 << spec.bits_stored) - 1)) if extra else found


# -- colour ------------------------------------------------------------------------------------


def _spread(cells: Array, spec: PixelSpec) -> Array:
    """Y1 Y2 Cb Cr for two pixels in a row becomes Y Cb Cr for each."""
    if spec.columns % 2:
        raise NotDecodable("Pixels cannot share their colour in rows of odd length.")
    pairs = cells.reshape(spec.rows, spec.columns // 2, 4)
    found = np.empty((spec.rows, spec.columns // 2, 2, 3), cells.dtype)
    found[..., 0] = pairs[..., :2]
    found[..., 1] = pairs[..., 2:3]
    found[..., 2] = pairs[..., 3:4]
    return found.reshape(spec.rows, spec.columns, 3)


def _shared(pixels: Array, spec: PixelSpec) -> Array:
    """The reverse; the colour of a pair is the mean of its two."""
    if spec.columns % 2:
        raise NotDecodable("Pixels cannot share their colour in rows of odd length.")
    pairs = pixels.reshape(spec.rows, spec.columns // 2, 2, 3)
    found = np.empty((spec.rows, spec.columns // 2, 4), pixels.dtype)
    found[..., :2] = pairs[..., 0]
    means = pairs[..., 1:].astype(np.uint32).sum(axis=2)
    found[..., 2:] = (means + 1) // 2
    return found


def rgb_of_ybr(pixels: Array, spec: PixelSpec) -> Array:
    """YBR_FULL as RGB (PS3.3 C.7.6.3.1.2); YBR_PARTIAL, which is retired, counts as full."""
    if pixels.dtype.itemsize > 1:
        return _rgb_of_wide_ybr(pixels, spec)
    red_cr, green_cb, green_cr, blue_cb = _tables()
    y = pixels[..., 0].astype(np.int16)
    cb, cr = pixels[..., 1], pixels[..., 2]
    found = np.empty(pixels.shape, np.uint8)
    np.clip(y + red_cr[cr], 0, 255, out=found[..., 0], casting="unsafe")
    np.clip(y + ((green_cb[cb] + green_cr[cr]) >> 6), 0, 255, out=found[..., 1], casting="unsafe")
    np.clip(y + blue_cb[cb], 0, 255, out=found[..., 2], casting="unsafe")
    return found


@cache
def _tables() -> tuple[Array, Array, Array, Array]:
    around = np.arange(256) - 128.0
    return (
        np.rint(1.402 * around).astype(np.int16),
        np.rint(-0.344136 * 64 * around).astype(np.int16),
        np.rint(-0.714136 * 64 * around + 32).astype(np.int16),  # rounds the shift to the nearest
        np.rint(1.772 * around).astype(np.int16),
    )


_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def _rgb_of_wide_ybr(pixels: Array, spec: PixelSpec) -> Array:
    half = 1 << (spec.bits_stored - 1)
    centred = pixels.astype(np.float32) - np.array([0, half, half], np.float32)
    rgb = np.clip(np.rint(centred @ _TO_RGB.T), 0, 2 * half - 1)
    return np.asarray(rgb.astype(pixels.dtype))


def ybr_of_rgb(pixels: Array, spec: PixelSpec) -> Array:
    """RGB as YBR_FULL."""
    half = 1 << (spec.bits_stored - 1)
    ybr = pixels.astype(np.float32) @ np.linalg.inv(_TO_RGB).T.astype(np.float32)
    ybr += np.array([0, half, half], np.float32)
    return np.clip(np.rint(ybr), 0, 2 * half - 1).astype(pixels.dtype)
