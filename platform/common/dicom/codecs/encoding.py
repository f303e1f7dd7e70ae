"""Which transfer syntaxes pixels can be given in, and what the header says then (PS3.5 section 8.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydicom.uid import (
    HTJ2K,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from common.dicom.codecs.decoding import CODECS, NATIVE, decode_frame, require_plausible
from common.dicom.codecs.errors import NotDecodable, NotEncodable
from common.dicom.codecs.pool import decoder_pool
from common.dicom.codecs.spec import PIXEL_TAGS, PixelSpec

NATIVE_TARGETS = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
_BYTES, _WORDS, _LONGS = frozenset({8}), frozenset({8, 16}), frozenset({8, 16, 32})
_GRAY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOR = frozenset({"RGB", "YBR_FULL"})
_ANY = _GRAY | _COLOR | {"PALETTE COLOR"}
_MORE_BYTES = 2**16  # a codestream may be longer than its pixels: tables, and noise


@dataclass(frozen=True, slots=True)
class Target:
    """A compressed transfer syntax that is written here."""

    codec: str
    bits_allocated: frozenset[int]
    photometric: frozenset[str]
    lossy: bool = False


TARGETS: dict[str, Target] = {
    str(RLELossless): Target("rle", _LONGS, _ANY),
    str(JPEGBaseline8Bit): Target("jpeg", _BYTES, _GRAY | _COLOR, lossy=True),
    str(JPEGLosslessSV1): Target("jpeg-lossless", _WORDS, _ANY),
    str(JPEGLSLossless): Target("jpegls", _WORDS, _ANY),
    str(JPEG2000Lossless): Target("jpeg2k", _WORDS, _ANY),
    str(HTJ2KLossless): Target("htj2k", _WORDS, _ANY),
    str(HTJ2K): Target("htj2k", _WORDS, _ANY),  # reversible, which that syntax allows
}
_WITH_COLOR_TRANSFORM = frozenset({"jpeg2k", "htj2k"})
# Their YBR is what a lossy codec made of RGB, so that it becomes RGB again when a header can say so.
_LOSSY_COLOR = frozenset({"jpeg", "jpegxl"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the frames of one instance become those of another transfer syntax, decided by its header."""

    source_uid: str
    target_uid: str
    attributes: Mapping[str, Any]
    spec: PixelSpec  # of the native frame between the two
    rgb: bool  # whether the codestream's YBR becomes RGB on the way

    @property
    def target(self) -> Target | None:
        """The compressed form; None for native ones."""
        return TARGETS.get(self.target_uid)

    def without_header(self) -> Recipe:
        """The same with the few attributes that describe pixels, where many recipes are held at once."""
        kept = {tag: self.attributes[tag] for tag in PIXEL_TAGS if tag in self.attributes}
        return replace(self, attributes=kept)

    @property
    def photometric_interpretation(self) -> str:
        """What the header of the result says (PS3.5 section 8.2)."""
        name = self.spec.photometric_interpretation
        if self.target is None or self.spec.samples == 1:
            return name
        if self.target.codec in _WITH_COLOR_TRANSFORM and name == "RGB":
            return "YBR_RCT"
        if self.target.codec == "jpeg":
            return "YBR_FULL_422"
        return "YBR_FULL" if self.spec.is_422 else name

    @property
    def by_plane(self) -> bool:
        """Planar Configuration of the result: codestreams have one of their own."""
        return self.spec.by_plane if self.target is None else False

    def frame(self, stored: bytes) -> bytes:
        """One stored frame in the new form.

        Raises:
            NotDecodable: the frame is damaged.
            NotEncodable: the codec refuses it.
        """
        codec = CODECS.get(self.source_uid)
        if self.target is None:
            return decode_frame(stored, self.attributes, self.source_uid, rgb=self.rgb)
        job: dict[str, Any] = {"encode": self.target.codec, "native": self.spec.to_json()}
        if codec is not None:
            source = PixelSpec.of(self.attributes)
            require_plausible(stored, source)
            job |= {"decode": codec, "spec": source.to_json(), "rgb": self.rgb}
        most = 2 * self.spec.rows * self.spec.columns * self.spec.samples
        most = most * max(1, self.spec.bits_allocated // 8) + _MORE_BYTES
        return decoder_pool().run(job, stored, most_bytes=most)


def recipe(
    attributes: Mapping[str, Any], source_uid: str, target_uid: str, *, keep_colors: bool = False
) -> Recipe:
    """How to get from one transfer syntax to another, told by the header before a frame is touched.

    ``keep_colors``: the result has to go with the stored header (frames beside ``/metadata``), so that no
    YBR becomes RGB on the way.

    Raises:
        NotDecodable: the stored frames cannot be decoded here.
        NotEncodable: such pixels cannot be given in the target; with the reason.
    """
    if source_uid not in NATIVE and source_uid not in CODECS:
        raise NotDecodable(
            f"Frames in the transfer syntax {_name(source_uid)} cannot be decoded here."
        )
    if target_uid not in TARGETS and target_uid not in NATIVE_TARGETS:
        raise NotEncodable(f"Nothing is encoded here as {_name(target_uid)}.")
    if source_uid in NATIVE and target_uid in NATIVE_TARGETS:
        return Recipe(source_uid, target_uid, attributes, _lenient_spec(attributes), rgb=False)
    spec = PixelSpec.of(attributes)
    rgb = not keep_colors and spec.is_ybr and CODECS.get(source_uid) in _LOSSY_COLOR
    native = spec.in_rgb() if rgb else spec
    if spec.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        native = replace(spec, photometric_interpretation="RGB")
    found = Recipe(source_uid, target_uid, attributes, native, rgb)
    if found.target is not None:
        _require_encodable(found.target, native, target_uid)
    return found


def _lenient_spec(attributes: Mapping[str, Any]) -> PixelSpec:
    try:
        return PixelSpec.of(attributes)
    except NotDecodable:  # native pixels pass as they are, whatever the header makes of them
        return PixelSpec(0, 0)


def _require_encodable(target: Target, spec: PixelSpec, target_uid: str) -> None:
    photometric = "YBR_FULL" if spec.is_422 else spec.photometric_interpretation
    if spec.bits_allocated not in target.bits_allocated:
        raise NotEncodable(
            f"Pixels of {spec.bits_allocated} bits are not encoded as {_name(target_uid)} here."
        )
    if photometric not in target.photometric or (spec.samples > 1) != (photometric in _COLOR):
        raise NotEncodable(
            f"Pixels in {spec.photometric_interpretation} are not encoded as {_name(target_uid)}."
        )


def _name(uid: str) -> str:
    name = UID(uid).name if uid else "no transfer syntax"
    return name if name == uid else f"{name} ({uid})"
