"""The digest of a pack: SHA-256 over a table of its stretches, so that each byte is hashed once.

A pack is a row of stretches without gap or overlap: local header, instance, local header, instance, …, and the
directory with its end records. The table has one row of 48 bytes for each, in order: offset and size (8 bytes
each, big-endian) and SHA-256 of the stretch's bytes. As place and size stand in the table too, no other
division of other bytes gives the same digest, and it covers every byte as a SHA-256 of the file would.
"""

from __future__ import annotations

import hashlib
import struct

_ROW = struct.Struct(">2Q32s")


class PackDigest:
    """Takes the stretches of a pack in order."""

    def __init__(self) -> None:
        self._table = hashlib.sha256()

    def add(self, *, offset: int, size: int, sha256: bytes) -> None:
        """The next stretch; ``sha256`` as 32 bytes."""
        self._table.update(_ROW.pack(offset, size, sha256))

    def hexdigest(self) -> str:
        """The digest of the stretches so far."""
        return self._table.hexdigest()
