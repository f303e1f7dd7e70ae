"""Which form goes out for which Accept: the table of PS3.18 §8.7.3, and what real clients send."""

from __future__ import annotations

import pytest

from common.dicomweb.media_types import parse_accept
from common.dicomweb.negotiation import Form, frame_forms, instance_forms

NATIVE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
RLE, JPEG, SV1 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
JLS, NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K, HTJ2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
DICOM, OCTETS = "application/dicom", "application/octet-stream"
RELATED = "multipart/related; type="


def said(forms) -> list[tuple[str, str, bool, bool]]:
    return [
        (form.media_type, form.transfer_syntax_uid, form.multipart, form.as_stored)
        for form in forms
    ]


@pytest.mark.parametrize(
    ("accept", "stored", "expected"),
    [
        pytest.param("", J2K, (J2K, True, True), id="nothing said: as stored"),
        pytest.param("*/*", J2K, (J2K, True, True), id="anything: as stored"),
        pytest.param(f'{RELATED}"{DICOM}"', NATIVE, (NATIVE, True, True), id="8.7.3.5.2 default"),
        pytest.param(f'{RELATED}"{DICOM}"', J2K, (NATIVE, True, False), id="8.7.3.5.2 decoded"),
        pytest.param(f'{RELATED}"{DICOM}"', IMPLICIT, (NATIVE, True, False), id="implicit"),
        pytest.param(f"{RELATED}{DICOM}", BIG, (NATIVE, True, False), id="without quotes"),
        pytest.param(f'{RELATED}"{DICOM}"; transfer-syntax=*', J2K, (J2K, True, True), id="star"),
        pytest.param(f"{DICOM};transfer-syntax=*", J2K, (J2K, False, True), id="one part, star"),
        pytest.param(DICOM, J2K, (NATIVE, False, False), id="one part"),
        pytest.param(f"{DICOM}; transfer-syntax={JLS}", J2K, (JLS, False, False), id="named"),
        pytest.param(f"{DICOM}; transfer-syntax={JPEG}", NATIVE, (JPEG, False, False), id="lossy"),
        pytest.param(f"{DICOM}; transfer-syntax=1.2.3", NATIVE, None, id="unknown: 406"),
        pytest.param(f"{DICOM}; transfer-syntax={NEAR}", NATIVE, None, id="not made: 406"),
        pytest.param(f"{DICOM}; transfer-syntax={NEAR}", NEAR, (NEAR, False, True), id="but had"),
        pytest.param(
            f"{DICOM}; transfer-syntax={JLS}, {DICOM}; transfer-syntax={J2K}",
            J2K,
            (J2K, False, True),
            id="among equals what is stored",
        ),
        pytest.param(
            f"{DICOM}; transfer-syntax={JLS}, {DICOM}; transfer-syntax={J2K}; q=0.5",
            J2K,
            (JLS, False, False),
            id="weights go first",
        ),
        pytest.param(
            f"{DICOM}; transfer-syntax={J2K}; q=0, {RELATED}{DICOM}; transfer-syntax=*; q=0.1",
            J2K,
            (J2K, True, True),
            id="a weight of zero means never",
        ),
        pytest.param("text/html, application/json", NATIVE, None, id="other types: 406"),
        pytest.param("text/html, */*;q=0.8", J2K, (J2K, True, True), id="a browser"),
        pytest.param("multipart/related", J2K, (NATIVE, True, False), id="parts of any type"),
        pytest.param(
            f'{RELATED}"image/jls", {RELATED}"{DICOM}"; transfer-syntax={J2K}',
            J2K,
            (J2K, True, True),
            id="several types",
        ),
    ],
)
def test_forms_of_instances(accept, stored, expected):
    found = said(instance_forms(parse_accept(accept), stored, single=True))

    assert (found[0][1:] if found else None) == expected


def test_one_part_cannot_hold_a_series():
    assert not said(instance_forms(parse_accept(DICOM), NATIVE, single=False))


@pytest.mark.parametrize(
    ("accept", "stored", "expected"),
    [
        pytest.param("", J2K, ("image/jp2", J2K, True, True), id="nothing said"),
        pytest.param("*/*", RLE, ("image/dicom-rle", RLE, True, True), id="anything"),
        pytest.param(
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            HTJ2K,
            (OCTETS, HTJ2K, True, True),
            id="OHIF",
        ),
        pytest.param(
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            NATIVE,
            (OCTETS, NATIVE, True, True),
            id="OHIF, native",
        ),
        pytest.param(
            f'{RELATED}"{OCTETS}"', JPEG, (OCTETS, NATIVE, True, False), id="8.7.3.5.2 octets"
        ),
        pytest.param(
            f'{RELATED}"{OCTETS}"; transfer-syntax={NATIVE}',
            J2K,
            (OCTETS, NATIVE, True, False),
            id="octets by name",
        ),
        pytest.param(
            f"{OCTETS}; transfer-syntax={IMPLICIT}",
            NATIVE,
            (OCTETS, NATIVE, False, True),
            id="native pixels are the same in both",
        ),
        pytest.param(OCTETS, J2K, (OCTETS, NATIVE, False, False), id="octets in one part"),
        pytest.param("image/jls", JLS, ("image/jls", JLS, False, True), id="own type"),
        pytest.param("image/jls", NEAR, ("image/jls", NEAR, False, True), id="own, lossy is had"),
        pytest.param("image/jls", NATIVE, ("image/jls", JLS, False, False), id="jls"),
        pytest.param(f'{RELATED}"image/jp2"', JLS, ("image/jp2", J2K, True, False), id="jp2"),
        pytest.param("image/jphc", NATIVE, ("image/jphc", HTJ2K, False, False), id="jphc"),
        pytest.param(
            "image/dicom-rle", NATIVE, ("image/dicom-rle", RLE, False, False), id="dicom-rle"
        ),
        pytest.param(
            "image/x-dicom-rle", RLE, ("image/dicom-rle", RLE, False, True), id="old name"
        ),
        pytest.param(
            "image/jpeg", NATIVE, ("image/jpeg", SV1, False, False), id="jpeg is lossless"
        ),
        pytest.param("image/jpeg", JPEG, ("image/jpeg", JPEG, False, True), id="jpeg as had"),
        pytest.param(
            f"image/jpeg; transfer-syntax={JPEG}",
            NATIVE,
            ("image/jpeg", JPEG, False, False),
            id="lossy where named",
        ),
        pytest.param(f"image/jls; transfer-syntax={J2K}", NATIVE, None, id="not of that type"),
        pytest.param("image/jpx", NATIVE, None, id="not made"),
        pytest.param("image/png", NATIVE, None, id="rendered only"),
        pytest.param(
            f'{RELATED}"image/jpeg"; transfer-syntax={JPEG}, '
            f'{RELATED}"image/jp2"; transfer-syntax={J2K}, {RELATED}"{OCTETS}"',
            J2K,
            ("image/jp2", J2K, True, True),
            id="dcmjs: a list of all it knows",
        ),
        pytest.param(
            f'{RELATED}"image/jpeg"; transfer-syntax={JPEG}; q=0.5, {RELATED}"{OCTETS}"',
            JPEG,
            (OCTETS, NATIVE, True, False),
            id="weights go first",
        ),
        pytest.param("image/*", J2K, ("image/jp2", J2K, False, True), id="any image"),
        pytest.param("image/*", NATIVE, None, id="no image is stored"),
        pytest.param("video/*", NATIVE, None, id="no video"),
    ],
)
def test_forms_of_frames(accept, stored, expected):
    found = said(frame_forms(parse_accept(accept), stored, single=True))

    assert (found[0] if found else None) == expected


def test_a_form_names_its_syntax():
    form = Form("image/jls", JLS, multipart=False, as_stored=True)

    assert form.content_type == f"image/jls; transfer-syntax={JLS}"
