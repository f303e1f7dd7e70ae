"""What a decoder process is asked for, as both ends of its pipes understand it."""

from __future__ import annotations

from typing import Any

from common.dicom.codecs import decoders, encoders
from common.dicom.codecs.spec import PixelSpec


def run(job: dict[str, Any], frame: bytes) -> bytes:
    """One job, in the decoder process: a frame decoded, encoded, or first the one and then the other.

    Raises:
        NotDecodable, NotEncodable: with the reason.
    """
    if "decode" in job:
        frame = decoders.decode(job["decode"], frame, PixelSpec(**job["spec"]), rgb=job["rgb"])
    if "encode" in job:
        frame = encoders.encode(job["encode"], frame, PixelSpec(**job["native"]))
    return frame


def warm_up() -> None:
    """Load every codec, before the memory is limited: a limit that hits an import looks like a bad frame."""
    decoders.warm_up()
    encoders.warm_up()
