"""Which form of an instance or a frame a request asks for (PS3.18 §8.7.3 to §8.7.6, 2024e).

The order: the caller's weights; among equals a form that is stored before one that has to be made. Lossy forms
are made only where their transfer syntax is named. Who accepts anything (``*/*``, or no Accept) gets the stored
form: it is among what was asked for, costs nothing and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pydicom.uid import ExplicitVRLittleEndian

from common.dicom.codecs import NATIVE_TARGETS, TARGETS
from common.dicomweb.media_types import ANY, DICOM, OCTET_STREAM, MediaType

_EXPLICIT = str(ExplicitVRLittleEndian)
_JPEG, _JLS, _JP2, _JPX, _JPHC = "image/jpeg", "image/jls", "image/jp2", "image/jpx", "image/jphc"
_JXL, _MPEG, _MP4 = "image/jxl", "video/mpeg", "video/mp4"
# PS3.18 Tables 8.7.3-4 and -5: media types of compressed frames.
MEDIA_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": _JPEG,
    "1.2.840.10008.1.2.4.51": _JPEG,
    "1.2.840.10008.1.2.4.53": _JPEG,
    "1.2.840.10008.1.2.4.55": _JPEG,
    "1.2.840.10008.1.2.4.57": _JPEG,
    "1.2.840.10008.1.2.4.70": _JPEG,
    "1.2.840.10008.1.2.4.80": _JLS,
    "1.2.840.10008.1.2.4.81": _JLS,
    "1.2.840.10008.1.2.4.90": _JP2,
    "1.2.840.10008.1.2.4.91": _JP2,
    "1.2.840.10008.1.2.4.92": _JPX,
    "1.2.840.10008.1.2.4.93": _JPX,
    "1.2.840.10008.1.2.4.110": _JXL,
    "1.2.840.10008.1.2.4.111": _JXL,
    "1.2.840.10008.1.2.4.112": _JXL,
    "1.2.840.10008.1.2.4.201": _JPHC,
    "1.2.840.10008.1.2.4.202": _JPHC,
    "1.2.840.10008.1.2.4.203": _JPHC,
    "1.2.840.10008.1.2.4.100": _MPEG,
    "1.2.840.10008.1.2.4.101": _MPEG,
    "1.2.840.10008.1.2.4.102": _MP4,
    "1.2.840.10008.1.2.4.103": _MP4,
}
# What a media type means without a transfer syntax (the same tables, marked D), as far as it is made here.
_DEFAULTS = {
    OCTET_STREAM: _EXPLICIT,
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    _JPEG: "1.2.840.10008.1.2.4.70",
    _JLS: "1.2.840.10008.1.2.4.80",
    _JP2: "1.2.840.10008.1.2.4.90",
    _JPHC: "1.2.840.10008.1.2.4.201",
}


@dataclass(frozen=True, slots=True)
class Form:
    """One way to answer."""

    media_type: str
    transfer_syntax_uid: str
    multipart: bool
    as_stored: bool

    @property
    def content_type(self) -> str:
        """Of a part, or of the answer where it is a single one."""
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax_uid}"


def instance_forms(ranges: Iterable[MediaType], stored_uid: str, *, single: bool) -> Iterator[Form]:
    """Forms of a whole instance, the best first. ``single``: one part can be given too."""
    for group in _by_weight(ranges):
        fitting = [each for each in group if _is_dicom(each) and _parts_fit(each, single=single)]
        for each in fitting:
            if each.name == ANY or (each.transfer_syntax or _EXPLICIT) in ("*", stored_uid):
                yield Form(DICOM, stored_uid, _multipart(each), as_stored=True)
        for each in fitting:
            wanted = each.transfer_syntax or _EXPLICIT
            if each.name != ANY and wanted != stored_uid and _is_made(wanted):
                yield Form(DICOM, wanted, _multipart(each), as_stored=False)


def frame_forms(ranges: Iterable[MediaType], stored_uid: str, *, single: bool) -> Iterator[Form]:
    """Forms of frames, the best first; ``stored_uid`` is Explicit VR Little Endian for all native ones."""
    own = MEDIA_TYPES.get(stored_uid, OCTET_STREAM)
    for group in _by_weight(ranges):
        fitting = [each for each in group if _parts_fit(each, single=single)]
        for each in fitting:
            if (media_type := _stored_as(each, own, stored_uid)) is not None:
                yield Form(media_type, stored_uid, _multipart(each), as_stored=True)
        for each in fitting:
            wanted = _made_of_frames(each, stored_uid)
            if wanted:
                yield Form(_plain(each.root), wanted, _multipart(each), as_stored=False)


def _by_weight(ranges: Iterable[MediaType]) -> Iterator[list[MediaType]]:
    wanted = list(ranges) or [MediaType(ANY)]
    for _, group in groupby(wanted, key=lambda each: each.quality):
        yield list(group)


def _multipart(accepted: MediaType) -> bool:
    return accepted.is_multipart or accepted.name == ANY


def _parts_fit(accepted: MediaType, *, single: bool) -> bool:
    if accepted.is_multipart:
        return accepted.name in ("multipart/related", "multipart/*")
    return single or accepted.name == ANY


def _is_dicom(accepted: MediaType) -> bool:
    return accepted.root in (ANY, DICOM, "application/*")


def _is_made(uid: str) -> bool:
    return uid in TARGETS or uid in NATIVE_TARGETS


def _plain(name: str) -> str:
    """Names from before the registration: ``image/x-jls``, ``image/x-dicom-rle``."""
    return "image/" + name[8:] if name.startswith("image/x-") else name


def _stored_as(accepted: MediaType, own: str, stored_uid: str) -> str | None:
    """The media type under which the stored frames fit this range; None where they do not."""
    root, syntax = _plain(accepted.root), accepted.transfer_syntax
    if accepted.name == ANY:
        return own
    if root in (ANY, own, own.split("/")[0] + "/*"):
        # A type of its own without a syntax: any that the type has, whichever is stored.
        if syntax in ("", "*", stored_uid) or (own == OCTET_STREAM and syntax in NATIVE_TARGETS):
            return own
        return None
    # Viewers ask for octets in any syntax and read the syntax from the part's header.
    return OCTET_STREAM if root == OCTET_STREAM and syntax in ("*", stored_uid) else None


def _made_of_frames(accepted: MediaType, stored_uid: str) -> str:
    """The transfer syntax into which frames are brought for this range; empty for none."""
    root, syntax = _plain(accepted.root), accepted.transfer_syntax
    wanted = _DEFAULTS.get(root, "") if syntax in ("", "*") else syntax
    if not wanted or wanted == stored_uid or not _is_made(wanted):
        return ""
    if root == OCTET_STREAM:
        return wanted
    return wanted if MEDIA_TYPES.get(wanted) == root else ""
