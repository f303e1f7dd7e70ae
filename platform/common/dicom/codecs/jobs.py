"""What a decoder process is asked for, as both ends of its pipes understand it."""

from __future__ import annotations

from typing import Any

from common.dicom.codecs import decoders
from common.dicom.codecs.spec import PixelSpec


def run(job: dict[str, Any], frame: bytes) -> bytes:
    """One job, in the decoder process: the native frame of a codestream.

    Raises:
        NotDecodable: with the reason.
    """
    return decoders.decode(job["decode"], frame, PixelSpec(**job["spec"]), rgb=job["rgb"])
