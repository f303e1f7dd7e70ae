"""Metadata with bulk data as parts of their own become instances (PS3.18 §10.5.2)."""

from __future__ import annotations

import base64
import io
from typing import Any

import orjson
import pydicom
import pytest

from sharing.models import (
    Study,
)
from tests.support.pulling import instance
from tests.support.storing import (
    JSON,
    Sender,
    described,
    multipart,
    read_back,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_metadata_and_pixels_become_a_file_that_pydicom_reads(sender: Sender) -> None:
    attributes, pixels = described()
    body = multipart(
        orjson.dumps([attributes]),
        pixels,
        types=("application/dicom+json", "application/octet-stream"),
        locations=("", "pixels/1"),
    )

    answer = sender.post(body, content_type=JSON)

    assert answer.status_code == 200, answer.content
    made = pydicom.dcmread(io.BytesIO(read_back(sender, 1)))
    assert made.PixelData == pixels
    assert str(made.PatientName) == "Wang^XiaoDong=王^小东"
    expected = pydicom.dcmread(io.BytesIO(instance(1, name="Wang^XiaoDong=王^小东")))
    assert {e.tag for e in made} == {e.tag for e in expected if e.tag.element}


def test_inline_pixels_and_xml_are_taken_too(sender: Sender) -> None:
    from common.dicom.xml_model import native_xml

    attributes, pixels = described()
    attributes["7FE00010"] = {"vr": "OW", "InlineBinary": base64.b64encode(pixels).decode()}

    answer = sender.post(native_xml(attributes), content_type="application/dicom+xml")

    assert answer.status_code == 200, answer.content
    assert pydicom.dcmread(io.BytesIO(read_back(sender, 1))).PixelData == pixels


def test_compressed_frames_are_encapsulated_one_part_each(sender: Sender) -> None:
    attributes, _ = described()
    attributes["00280008"] = {"vr": "IS", "Value": [2]}
    syntax = "1.2.840.10008.1.2.4.70"
    kind = f"image/jpeg; transfer-syntax={syntax}"
    body = multipart(
        orjson.dumps([attributes]), b"frame-1", b"frame-22",
        types=("application/dicom+json", kind, kind), locations=("", "pixels/1", "pixels/1"),
    )  # fmt: skip

    answer = sender.post(body, content_type=JSON)

    assert answer.status_code == 200, answer.content
    made = pydicom.dcmread(io.BytesIO(read_back(sender, 1)))
    frames = list(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=2))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert frames == [b"frame-1\0", b"frame-22"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.pop("00080018"),
        lambda a: a.update({"00100020": {"vr": "LO", "Value": "text"}}),
        lambda a: a.update({"00280010": {"vr": "US", "Value": ["x"]}}),
        lambda a: a.update({"00280010": {"vr": "US", "Value": [70000]}}),
        lambda a: a.update({"00280010": {"Value": [1]}}),
        lambda a: a.update({"00081115": {"vr": "SQ", "Value": ["x"]}}),
        lambda a: a.update({"00420011": {"vr": "OB", "InlineBinary": "%%%"}}),
        lambda a: a.update({"00420011": {"vr": "OB", "BulkDataURI": "nowhere"}}),
        lambda a: a.update({"nothing": {"vr": "OB"}}),
        lambda a: a.update({"00100010": {"vr": "PN", "Value": ["plain"]}}),
    ],
)
def test_metadata_that_do_not_follow_the_model_are_refused(sender: Sender, spoil: Any) -> None:
    attributes, pixels = described()
    attributes["7FE00010"] = {"vr": "OW", "InlineBinary": base64.b64encode(pixels).decode()}
    spoil(attributes)

    answer = sender.post(orjson.dumps([attributes]), content_type="application/dicom+json")

    assert answer.status_code in (400, 409)
    assert not Study.objects.exists()
