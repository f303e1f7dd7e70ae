import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from common.dicomweb.media_types import Representation, choose, parse_accept, parse_media_type

DICOM_AS_STORED = Representation("application/dicom", JPEG2000Lossless)
JSON = Representation("application/dicom+json", multipart=False)


@pytest.mark.parametrize(
    ("text", "root", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', "application/dicom", "abc"),
        (
            'Multipart/Related;BOUNDARY="a b;c,d";Type=application/dicom',
            "application/dicom",
            "a b;c,d",
        ),
        ("multipart/related;boundary=--x ; type=application/dicom;", "application/dicom", "--x"),
        (
            'multipart/related; type="image/jpeg; transfer-syntax=1.2"; boundary="q\\"q"',
            "image/jpeg",
            'q"q',
        ),
        ("multipart/related; start=<a@b>; boundary=z", "*/*", "z"),
        ("application/dicom", "application/dicom", ""),
    ],
)
def test_content_types_as_origins_write_them(text, root, boundary):
    found = parse_media_type(text)

    assert found is not None
    assert (found.root, found.boundary) == (root, boundary)


@pytest.mark.parametrize("text", ["", "rubbish", ";;;", '"', "a/b/c;" * 0, ", ,"])
def test_what_is_no_content_type_is_none(text):
    assert parse_media_type(text) is None


def test_ranges_are_ordered_by_weight_and_zero_means_never():
    found = parse_accept(
        "text/html;q=0.5, */*;q=0.1, application/json, image/png;q=0, image/gif;q=bad"
    )

    assert [one.name for one in found] == ["application/json", "image/gif", "text/html", "*/*"]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param(
            'multipart/related; type="application/dicom"; transfer-syntax=*', True, id="any"
        ),
        pytest.param(
            "multipart/related; type=application/dicom; transfer-syntax=*", True, id="unquoted"
        ),
        pytest.param(
            f'multipart/related; type="application/dicom"; transfer-syntax={JPEG2000Lossless}',
            True,
            id="by-name",
        ),
        pytest.param(
            'multipart/related; type="application/dicom"', False, id="8.7.3.5.2-default-syntax"
        ),
        pytest.param('multipart/related; type="image/jpeg"', False, id="other-type"),
        pytest.param(
            'multipart/related; type="application/*"; transfer-syntax=*', True, id="subtype-range"
        ),
        pytest.param("application/dicom; transfer-syntax=*", False, id="single-part-asked"),
        pytest.param("*/*", True, id="anything"),
        pytest.param("", True, id="no-accept"),
        pytest.param("text/html, */*;q=0", False, id="nothing-fits"),
    ],
)
def test_which_accept_headers_get_an_instance_as_stored(accept, expected):
    chosen = choose(
        parse_accept(accept), [DICOM_AS_STORED], default_transfer_syntax_uid=ExplicitVRLittleEndian
    )

    assert (chosen is not None) == expected


def test_the_client_s_weight_comes_before_our_order():
    chosen = choose(
        parse_accept(
            'application/dicom+json;q=0.5, multipart/related;type="application/dicom";transfer-syntax=*'
        ),
        [JSON, DICOM_AS_STORED],
    )

    assert chosen == DICOM_AS_STORED


def test_a_hostile_accept_header_costs_little():
    assert parse_accept("a/b;" + 'x="' * 100_000) != []
    assert len(parse_accept("a/b," * 100_000)) <= 8 * 1024 / 4
