"""Media types and their negotiation as DICOMweb uses them (PS3.18 §8.7; RFC 9110 §12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
OCTET_STREAM = "application/octet-stream"
ANY = "*/*"
MAX_HEADER_CHARS = 8 * 1024

_TYPE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*")
_PARAMETER = re.compile(
    r"""\s*;\s*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*
    (?:"((?:[^"\\]|\\.)*)"|([^;,"\s][^;,\s]*))\s*)?""",  # an unquoted type=application/dicom is common
    re.VERBOSE,
)


@dataclass(frozen=True)
class MediaType:
    """A media type or range with its parameters; names in lower case, values as sent without quotes."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def quality(self) -> float:
        """The weight ``q``; 1 when absent or unreadable, held between 0 and 1."""
        try:
            return min(1.0, max(0.0, float(self.parameters.get("q", "1"))))
        except ValueError:
            return 1.0

    @property
    def is_multipart(self) -> bool:
        """Whether parts are meant."""
        return self.name.startswith("multipart/")

    @property
    def root(self) -> str:
        """What is meant in the end: the ``type`` of a multipart, else the name itself."""
        if not self.is_multipart:
            return self.name
        # Some origins write their transfer syntax inside the quotes: type="image/jpeg; transfer-syntax=…".
        return self.parameters.get("type", ANY).split(";", 1)[0].strip().lower()

    @property
    def transfer_syntax(self) -> str:
        """The ``transfer-syntax`` parameter; ``*`` for any, empty when absent."""
        return self.parameters.get("transfer-syntax", "")

    @property
    def boundary(self) -> str:
        """The ``boundary`` parameter; empty when absent."""
        return self.parameters.get("boundary", "")


def parse_media_type(text: str) -> MediaType | None:
    """The media type of a Content-Type header; None when it is none."""
    return next(_parse(text), None)


def parse_accept(text: str) -> list[MediaType]:
    """The ranges of an Accept header, best first; what cannot be read is left out. Empty means anything."""
    return list(_ranges(text[:MAX_HEADER_CHARS]))


@lru_cache(maxsize=256)
def _ranges(text: str) -> tuple[MediaType, ...]:
    """A viewer sends the same header with each of thousands of requests."""
    ranges = [found for found in _parse(text) if found.quality > 0]
    # Stable: equal weights stay in order.
    return tuple(sorted(ranges, key=lambda found: -found.quality))


def _parse(text: str) -> Iterator[MediaType]:
    position, text = 0, text[:MAX_HEADER_CHARS]
    while position < len(text):
        match = _TYPE.match(text, position)
        if match:
            parameters: dict[str, str] = {}
            position = match.end()
            while found := _PARAMETER.match(text, position):
                position = found.end()
                if found[1]:
                    quoted = found[2]
                    value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found[3]
                    parameters.setdefault(found[1].lower(), value)
            yield MediaType(match[1].lower(), parameters)
        comma = text.find(",", position)
        position = comma + 1 if comma >= 0 else len(text)


@dataclass(frozen=True)
class Representation:
    """One form in which a resource can be answered."""

    media_type: str
    transfer_syntax_uid: str = ""  # empty: does not apply (metadata, rendered)
    multipart: bool = True


def choose(
    ranges: Iterable[MediaType],
    offers: Sequence[Representation],
    *,
    default_transfer_syntax_uid: str = "",
) -> Representation | None:
    """The offer the client likes best; among equals the first offered. None: 406.

    A range without ``transfer-syntax`` means ``default_transfer_syntax_uid`` (PS3.18 §8.7.3.5.2 makes that
    Explicit VR Little Endian for application/dicom), or any when that is empty. No range at all accepts anything.
    """
    wanted = list(ranges) or [MediaType(ANY)]
    for accepted in wanted:
        for offer in offers:
            if _accepts(accepted, offer, default_transfer_syntax_uid):
                return offer
    return None


def _accepts(accepted: MediaType, offer: Representation, default_syntax: str) -> bool:
    if accepted.name != ANY and accepted.is_multipart != offer.multipart:
        return False
    root = accepted.root
    if root not in (ANY, offer.media_type) and root != offer.media_type.split("/")[0] + "/*":
        return False
    if not offer.transfer_syntax_uid or accepted.name == ANY:
        return True
    syntax = accepted.transfer_syntax or default_syntax
    return syntax in ("", "*", offer.transfer_syntax_uid)
