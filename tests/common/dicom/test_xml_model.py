"""Native DICOM Model documents: what JSON says, XML says, and back (PS3.19 A.1)."""

from __future__ import annotations

import base64
import io
import subprocess
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.dicom.errors import MalformedDicom
from common.dicom.part10 import read_instance
from common.dicom.xml_model import NAMESPACE, native_xml, read_native_xml
from tests.support.dicom_files import Row, rows
from tests.support.services import program

READABLE = [
    found
    for found in rows()
    if found.kind in ("instance", "same-uid variant") and found.fields["study_instance_uid"]
]
BINARY = base64.b64encode(b"\x00\x01\xfe\xff").decode()
EVERY_VR: dict[str, Any] = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3"]},
    "00080020": {"vr": "DA", "Value": ["20240229"]},
    "0008002A": {"vr": "DT", "Value": ["20240229101112.5+0800"]},
    "00080030": {"vr": "TM", "Value": ["101112"]},
    "00080054": {"vr": "AE", "Value": ["PACS"]},
    "00080120": {"vr": "UR", "Value": ["https://example.org/a?b=1&c=<2>"]},
    "00081140": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2"]}}, {}]},
    "00081199": {"vr": "SQ"},
    "00100010": {
        "vr": "PN",
        "Value": [
            {"Alphabetic": "Wang^XiaoDong^^Dr", "Ideographic": "王^小东", "Phonetic": "wang"},
            {"Alphabetic": "Yamada^Tarou^x^y^z^more^still"},
        ],
    },
    "00101010": {"vr": "AS", "Value": ["045Y"]},
    "00102110": {"vr": "LO", "Value": [" leading", 'quote " & <angle>']},
    "00104000": {"vr": "LT", "Value": ["two\r\nlines\twith\\backslash"]},
    "00180050": {"vr": "DS", "Value": [0.5, 3.0, "not a number"]},
    "00189087": {"vr": "FD", "Value": [1e-300, "NaN", "-Infinity"]},
    "00200013": {"vr": "IS", "Value": [7]},
    "00280009": {"vr": "AT", "Value": ["00181063", "00540010"]},
    "00280010": {"vr": "US", "Value": [512, 65535]},
    "00290010": {"vr": "LO", "Value": ["MAKER ONE"]},
    "00291001": {"vr": "OB", "InlineBinary": BINARY},
    "00291101": {"vr": "UN", "InlineBinary": BINARY},
    "00400310": {"vr": "ST", "Value": ["短文"]},
    "0040A124": {"vr": "UI"},
    "00420010": {"vr": "ST", "Value": ["title"]},
    "00620021": {"vr": "OB", "InlineBinary": BINARY},
    "00660016": {"vr": "OF", "BulkDataURI": "https://example.org/bulk?x=1&y=2"},
    "00720074": {"vr": "FL", "Value": [0.25]},
    "0072007C": {"vr": "SL", "Value": [-2147483648]},
    "0072007E": {"vr": "SS", "Value": [-3]},
    "00720082": {"vr": "SV", "Value": [-(2**63)]},
    "00720083": {"vr": "UV", "Value": [2**64 - 1]},
    "00720078": {"vr": "UL", "Value": [4294967295]},
    "00720065": {"vr": "OW", "InlineBinary": BINARY},
    "00720068": {"vr": "LT", "Value": ["𠮷 outside the first plane"]},
    "0072006F": {"vr": "UC", "Value": ["unlimited", "二"]},
    "00720070": {"vr": "UT", "Value": ["long"]},
    "00720073": {"vr": "OD", "InlineBinary": BINARY},
    "00720075": {"vr": "OL", "InlineBinary": BINARY},
    "00720081": {"vr": "OV", "InlineBinary": BINARY},
    "0072006C": {"vr": "SH", "Value": ["short"]},
}


def document(body: str) -> bytes:
    return f'<NativeDicomModel xmlns="{NAMESPACE}">{body}</NativeDicomModel>'.encode()


def test_every_vr_comes_back_as_it_was():
    assert read_native_xml(native_xml(EVERY_VR)) == dict(sorted(EVERY_VR.items()))


@pytest.mark.skipif(not READABLE, reason="the collection of DICOM files is not here")
@pytest.mark.parametrize("row", READABLE, ids=lambda row: row.name)
def test_the_header_of_every_file_comes_back_as_it_was(row: Row):
    stored = row.path.read_bytes()
    attributes = read_instance(io.BytesIO(stored), offset=0, length=len(stored)).attributes

    found = read_native_xml(native_xml(attributes))

    assert found == cleaned(attributes)


def cleaned(attributes: Any) -> Any:
    """What XML can hold of it: no control characters, no empty components at the end of a name."""
    if isinstance(attributes, dict) and attributes.get("vr") == "PN" and "Value" in attributes:
        values = [bare_name(name or {}) for name in attributes["Value"]]
        return {"vr": "PN", "Value": values} if values != [None] else {"vr": "PN"}
    if isinstance(attributes, dict):
        return {key: cleaned(value) for key, value in attributes.items()}
    if isinstance(attributes, list):
        return [cleaned(value) for value in attributes]
    if isinstance(attributes, str):
        return "".join(c if c >= " " or c in "\t\r\n" else "\ufffd" for c in attributes)
    return attributes


def bare_name(name: dict[str, str]) -> dict[str, str] | None:
    parts = {group: cleaned(text).rstrip("^") for group, text in name.items()}
    return {group: text for group, text in parts.items() if text} or None


@pytest.mark.parametrize(
    "row",
    [row for row in READABLE if row.fields["character_set"] in ("ISO_IR 192", "ISO_IR 100")][:25],
    ids=lambda row: row.name,
)
def test_tags_vrs_and_creators_are_those_that_dcmtk_writes(row: Row):
    theirs = subprocess.run(
        [
            str(program("dcmtk", "DCM2XML_BIN", "dcm2xml")),
            "--native-format",
            "--convert-to-utf8",
            str(row.path),
        ],
        capture_output=True,
        check=False,
    ).stdout
    if not theirs.rstrip().endswith(b"</NativeDicomModel>"):
        pytest.skip("DCMTK does not read it")
    stored = row.path.read_bytes()
    ours = native_xml(read_instance(io.BytesIO(stored), offset=0, length=len(stored)).attributes)

    ours_found, theirs_found = standard_attributes(ours), standard_attributes(theirs)
    assert ours_found.keys() == theirs_found.keys()
    for key, keyword in theirs_found.items():
        # Its dictionary is older, and marks what is retired.
        if keyword and not keyword.startswith("RETIRED_"):
            assert ours_found[key] == keyword


def standard_attributes(xml: bytes) -> dict[tuple[str, str | None], str | None]:
    """Tags and creators of the top level, with keywords where they are not private."""
    root = ET.fromstring(xml.replace(b"\x1b", b""))
    found = {}
    for element in root:
        tag = element.get("tag") or ""
        if tag.startswith("0002") or (int(tag[3], 16) % 2 and not element.get("privateCreator")):
            continue
        if tag.endswith("0000") or int(tag[:4], 16) > 0x5000:  # group lengths, repeating groups
            continue
        known = element.get("keyword") if not element.get("privateCreator") else None
        found[tag, element.get("privateCreator")] = known
    return found


def test_private_elements_carry_their_creator_and_no_block():
    xml = native_xml(EVERY_VR).decode()

    assert '<DicomAttribute tag="00290001" vr="OB" privateCreator="MAKER ONE">' in xml


def test_private_elements_without_creator_element_get_a_block():
    body = (
        '<DicomAttribute tag="00290010" vr="LO"><Value number="1">ONE</Value></DicomAttribute>'
        '<DicomAttribute tag="00290001" vr="LO" privateCreator="TWO"><Value number="1">b</Value>'
        '</DicomAttribute><DicomAttribute tag="00291001" vr="LO" privateCreator="ONE">'
        '<Value number="1">a</Value></DicomAttribute>'
    )

    found = read_native_xml(document(body))

    assert found == {
        "00290010": {"vr": "LO", "Value": ["ONE"]},
        "00290011": {"vr": "LO", "Value": ["TWO"]},
        "00291001": {"vr": "LO", "Value": ["a"]},
        "00291101": {"vr": "LO", "Value": ["b"]},
    }


def test_one_creator_in_two_blocks_keeps_both_apart():
    attributes = {
        "00290010": {"vr": "LO", "Value": ["ONE"]},
        "00290011": {"vr": "LO", "Value": ["ONE"]},
        "00291001": {"vr": "LO", "Value": ["a"]},
        "00291101": {"vr": "LO", "Value": ["b"]},
    }

    assert read_native_xml(native_xml(attributes)) == attributes


def test_characters_that_xml_cannot_hold_are_marked():
    attributes = {"00104000": {"vr": "LT", "Value": ["a\x1b\x00b\ud800"]}}

    assert read_native_xml(native_xml(attributes))["00104000"]["Value"] == ["a\ufffd\ufffdb\ufffd"]


def test_it_is_read_with_a_prefix_or_without_any_namespace():
    inner = (
        'DicomAttribute tag="00100020" vr="LO"><{p}Value number="1">7</{p}Value></{p}DicomAttribute'
    )
    plain = f"<NativeDicomModel><{inner.format(p='')}></NativeDicomModel>"
    prefixed = (
        f'<n:NativeDicomModel xmlns:n="{NAMESPACE}"><n:{inner.format(p="n:")}></n:NativeDicomModel>'
    )

    assert read_native_xml(plain.encode()) == {"00100020": {"vr": "LO", "Value": ["7"]}}
    assert read_native_xml(prefixed.encode()) == read_native_xml(plain.encode())


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<NativeDicomModel>", id="cut off"),
        pytest.param(b"<html/>", id="another document"),
        pytest.param(
            b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
            b"<NativeDicomModel>&b;</NativeDicomModel>",
            id="entities that grow",
        ),
        pytest.param(
            b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><NativeDicomModel/>', id="outside entity"
        ),
        pytest.param(document("text"), id="text between"),
        pytest.param(document('<DicomAttribute tag="0010" vr="LO"/>'), id="short tag"),
        pytest.param(document('<DicomAttribute tag="00100010" vr="XX"/>'), id="unknown vr"),
        pytest.param(
            document(
                '<DicomAttribute tag="00280010" vr="US"><Value number="1">x</Value></DicomAttribute>'
            ),
            id="no number",
        ),
        pytest.param(
            document(
                '<DicomAttribute tag="00280010" vr="US"><Value number="999999">1</Value></DicomAttribute>'
            ),
            id="one value far away",
        ),
        pytest.param(
            document(
                '<DicomAttribute tag="00420011" vr="OB"><InlineBinary>*</InlineBinary></DicomAttribute>'
            ),
            id="no base64",
        ),
        pytest.param(
            document(
                '<DicomAttribute tag="00420011" vr="OB"><BulkData uuid="1"/></DicomAttribute>'
            ),
            id="bulk data without address",
        ),
        pytest.param(
            document(
                '<DicomAttribute tag="00081140" vr="SQ"><Item number="1">' * 100
                + "</Item></DicomAttribute>" * 100
            ),
            id="nested too deep",
        ),
        pytest.param(
            b'<?xml version="1.0" encoding="x-no-such"?><NativeDicomModel/>', id="encoding"
        ),
    ],
)
def test_hostile_documents_are_refused(hostile: bytes):
    with pytest.raises(MalformedDicom):
        read_native_xml(hostile)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 4000), st.integers(0, 50))
def test_a_damaged_document_is_read_or_refused(noise: bytes, at: int, cut: int):
    whole = native_xml(EVERY_VR)
    damaged = whole[:at] + noise + whole[at + cut :]

    try:
        found = read_native_xml(damaged)
    except MalformedDicom:
        return
    assert isinstance(found, dict)
