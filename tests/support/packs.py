"""Packs for tests: some instances, their index, and where they are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from common.archive.documents import InstanceEntry, SeriesIndex
from common.archive.pack import PackEntry, PackWriter, SealedPack
from common.dicom.frames import Frames

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def write_pack(path: Path, contents: Sequence[bytes]) -> SealedPack:
    """One entry for each content, named ``1.2.N.dcm``."""
    writer = PackWriter(path)
    for number, content in enumerate(contents):
        add(writer, f"1.2.{number}.dcm", content)
    return writer.seal()


def add(writer: PackWriter, name: str, content: bytes) -> None:
    writer.begin()
    for start in range(0, len(content), 1000):
        writer.write(content[start : start + 1000])
    writer.commit(name)


def index_of(pack: SealedPack, key: str = "packs/a.zip", **changes: object) -> SeriesIndex:
    """The index that fits the pack."""
    instances = tuple(
        InstanceEntry(
            sop_instance_uid=entry.name.removesuffix(".dcm"),
            sop_class_uid=CT,
            transfer_syntax_uid=EXPLICIT,
            instance_number=number,
            offset=entry.offset,
            size=entry.size,
            sha256=entry.sha256,
            frames=Frames(),
            bulk={"7FE00010": (0, entry.size)},
        )
        for number, entry in enumerate(pack.entries)
    )
    fields = {
        "institution_code": "H1",
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.4",
        "number": 1,
        "pack_key": key,
        "pack_size": pack.size,
        "pack_digest": pack.digest,
        "character_set": "GB18030",
        "instances": instances,
    }
    return SeriesIndex(**{**fields, **changes})  # type: ignore[arg-type]


def digest_of(data: bytes, entries: Sequence[PackEntry]) -> str:
    """The digest of a pack, from its bytes alone and by other means than the writer's."""
    bounds = sorted(
        {0, len(data), *(e.offset for e in entries), *(e.offset + e.size for e in entries)}
    )
    stretches = list(pairwise(bounds)) + [(e.offset, e.offset) for e in entries if not e.size]
    table = hashlib.sha256()
    for start, end in sorted(stretches):
        table.update(start.to_bytes(8, "big") + (end - start).to_bytes(8, "big"))
        table.update(hashlib.sha256(data[start:end]).digest())
    return table.hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
