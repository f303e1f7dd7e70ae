"""Pixels out of any transfer syntax and into some, behind one small interface (PS3.5 section 8.2, Annex A)."""

from __future__ import annotations

from common.dicom.codecs.decoding import (
    can_decode,
    decode_array,
    decode_frame,
    native_photometric_interpretation,
)
from common.dicom.codecs.encoding import NATIVE_TARGETS, TARGETS, Recipe, recipe
from common.dicom.codecs.errors import DecodersBusy, NotDecodable, NotEncodable

__all__ = [
    "NATIVE_TARGETS",
    "TARGETS",
    "DecodersBusy",
    "NotDecodable",
    "NotEncodable",
    "Recipe",
    "can_decode",
    "decode_array",
    "decode_frame",
    "native_photometric_interpretation",
    "recipe",
]
