"""The Native DICOM Model: XML beside the DICOM JSON Model, in both directions (PS3.19 A.1, 2024e)."""

from __future__ import annotations

from common.dicom.xml_reader import read_native_xml
from common.dicom.xml_writer import MEDIA_TYPE, NAMESPACE, native_xml

__all__ = ["MEDIA_TYPE", "NAMESPACE", "native_xml", "read_native_xml"]
