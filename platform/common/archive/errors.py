"""What can go wrong with packs and documents."""

from __future__ import annotations

from common.errors import DomainError, Kind


class PackBusy(DomainError):
    """Another process writes this pack."""

    code = "pack-busy"
    kind = Kind.CONFLICT


class PackNotWritable(DomainError):
    """The pack cannot be written; the text says why (``facts["reason"]``: ``disk-full`` or ``failed``)."""

    code = "pack-not-writable"
    kind = Kind.UNAVAILABLE


class DuplicateEntry(DomainError):
    """The pack has an entry of this name already."""

    code = "pack-duplicate-entry"
    kind = Kind.CONFLICT


class DocumentUnreadable(DomainError):
    """A document of the archive is damaged, or of a version that this program does not know."""

    code = "archive-document-unreadable"
    kind = Kind.UNAVAILABLE
