"""Where ``pixels_said`` used to be; kept until the renderer imports it from its place."""

from __future__ import annotations

from common.dicom.codestream import pixels_said

__all__ = ["pixels_said"]
