"""Instances, frames, metadata and bulk data in the form that is asked for (PS3.18 §8.7, RFC 9110)."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from common.dicom.xml_model import read_native_xml
from common.storage import object_store
from sharing.dicomweb.frames import cut
from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import ROOT, parts_of
from tests.support import archive, dicom_files

NATIVE, JLS, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
pytestmark = pytest.mark.skipif(not dicom_files.rows(), reason="the collection is not here")


def store(province: Province, tmp_path: Path, *names: str) -> list[archive.Stored]:
    paths = [dicom_files.row(name).path for name in names]
    return archive.archive_files(province.near, paths, tmp_path=tmp_path)


@pytest.fixture
def compressed(province: Province, tmp_path: Path) -> archive.Stored:
    return store(province, tmp_path, "nema-wg04/ct1_jlsl.dcm")[0]


@pytest.fixture
def native(province: Province, tmp_path: Path) -> archive.Stored:
    return store(province, tmp_path, "pydicom/test_files/ct_small.dcm")[0]


def get(reader: Any, url: str, accept: str, **headers: str) -> Any:
    return reader.get(ROOT + url, headers={"accept": accept, **headers})


def test_without_a_syntax_an_instance_is_explicit_little_endian(compressed, reader):
    answer = get(reader, compressed.url, 'multipart/related; type="application/dicom"')

    ((header, data),) = parts_of(answer)
    found = pydicom.dcmread(io.BytesIO(data))
    assert header["content-type"] == f"application/dicom; transfer-syntax={NATIVE}"
    assert found.file_meta.TransferSyntaxUID == NATIVE
    original = pydicom.dcmread(io.BytesIO(compressed.data))
    assert np.array_equal(found.pixel_array, original.pixel_array)


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_every_level_is_transcoded_into_a_named_syntax(native, reader, level):
    study, _, rest = native.url.partition("/series/")
    url = {"study": study, "series": f"{study}/series/{rest.split('/')[0]}"}.get(level, native.url)

    answer = get(reader, url, f'multipart/related; type="application/dicom"; transfer-syntax={J2K}')

    ((header, data),) = parts_of(answer)
    assert header["content-type"].endswith(J2K)
    found = pydicom.dcmread(io.BytesIO(data))
    expected = pydicom.dcmread(io.BytesIO(native.data))
    assert np.array_equal(found.pixel_array, expected.pixel_array)


def test_frames_are_transcoded(native, reader):
    answer = get(reader, f"{native.url}/frames/1", "image/jls")

    assert answer.status_code == 200
    assert answer["Content-Type"] == f"image/jls; transfer-syntax={JLS}"
    assert answer.content.startswith(b"\xff\xd8\xff\xf7")


def test_what_cannot_be_decoded_is_406_with_the_reason_and_had_as_stored(
    province, reader, tmp_path
):
    broken = store(
        province, tmp_path, "pydicom/test_files/jpeg2000-embedded-sequence-delimiter.dcm"
    )[0]

    refused = get(reader, broken.url, "application/dicom")
    frame = get(reader, f"{broken.url}/frames/1", "application/octet-stream")
    stored = get(reader, broken.url, "application/dicom; transfer-syntax=*")

    assert refused.status_code == frame.status_code == 406
    assert "codestream" in refused.content.decode()
    assert stored.status_code == 200


def test_an_instance_in_one_part_has_a_tag_and_ranges(native, reader):
    url, any_syntax = native.url, "application/dicom; transfer-syntax=*"
    whole = get(reader, url, any_syntax)
    tag, data = whole["ETag"], native.data

    same = get(reader, url, any_syntax, **{"if-none-match": tag})
    first = get(reader, url, any_syntax, range="bytes=0-99")
    last = get(reader, url, any_syntax, range="bytes=-10")
    rest = get(reader, url, any_syntax, range="bytes=128-", **{"if-range": tag})
    changed = get(reader, url, any_syntax, range="bytes=128-", **{"if-range": '"other"'})
    beyond = get(reader, url, any_syntax, range=f"bytes={len(data)}-")
    several = get(reader, url, any_syntax, range="bytes=0-1,5-6")
    odd = get(reader, url, any_syntax, range="bytes=9-3")

    assert whole["Accept-Ranges"] == "bytes"
    assert hashlib.sha256(whole.getvalue()).hexdigest() == hashlib.sha256(data).hexdigest()
    assert (same.status_code, same.content) == (304, b"")
    assert (first.status_code, first.getvalue()) == (206, data[:100])
    assert first["Content-Range"] == f"bytes 0-99/{len(data)}"
    assert first["Content-Length"] == "100"
    assert last.getvalue() == data[-10:]
    assert (rest.status_code, rest.getvalue()) == (206, data[128:])
    assert (changed.status_code, changed.getvalue()) == (200, data)
    assert beyond.status_code == 416
    assert beyond["Content-Range"] == f"bytes */{len(data)}"
    assert several.status_code == odd.status_code == 200


@pytest.mark.parametrize("path", ["/frames/1", "/bulkdata/7FE00010"], ids=["frame", "bulk data"])
def test_frames_and_bulk_data_in_one_part_have_tags_and_ranges(native, reader, path):
    url, accept = native.url + path, "application/octet-stream"
    whole = get(reader, url, accept)
    data = whole.getvalue()

    part = get(reader, url, accept, range="bytes=1000-1999")
    same = get(reader, url, accept, **{"if-none-match": whole["ETag"]})
    head = reader.head(ROOT + url, headers={"accept": accept, "range": "bytes=0-9"})

    assert len(data) == 128 * 128 * 2
    assert (part.status_code, part.getvalue()) == (206, data[1000:2000])
    assert same.status_code == 304
    assert (head.status_code, head["Content-Length"]) == (200, str(len(data)))


def test_ranges_of_fragments_are_cut_as_one_row():
    ranges = [(10, 4), (20, 4), (30, 4)]

    assert cut(ranges, 0, 12) == ranges
    assert cut(ranges, 2, 4) == [(12, 2), (20, 2)]
    assert cut(ranges, 8, 4) == [(30, 4)]
    assert cut(ranges, 5, 1) == [(21, 1)]


def test_parts_are_known_again_by_a_weak_tag(native, reader):
    for path in ("", "/frames/1"):
        answer = reader.get(ROOT + native.url + path)
        again = reader.get(ROOT + native.url + path, headers={"if-none-match": answer["ETag"]})

        assert answer["ETag"].startswith('W/"')
        assert again.status_code == 304


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_metadata_in_xml_say_what_the_json_says(native, reader, level):
    study, _, rest = native.url.partition("/series/")
    url = {"study": study, "series": f"{study}/series/{rest.split('/')[0]}"}.get(level, native.url)

    xml = get(reader, f"{url}/metadata", 'multipart/related; type="application/dicom+xml"')
    found = json.loads(get(reader, f"{url}/metadata", "application/dicom+json").getvalue())

    ((header, document),) = parts_of(xml)
    assert header["content-type"] == "application/dicom+xml"
    read = read_native_xml(document)
    assert read.keys() == found[0].keys()
    assert read["00100010"] == found[0]["00100010"]
    assert read["7FE00010"]["BulkDataURI"].startswith("http://testserver/dicom-web/studies/")


def test_a_missing_pack_anywhere_in_a_study_is_an_error_before_the_answer_begins(
    province, reader, tmp_path
):
    studies: dict[str, list[Any]] = {}
    for row in dicom_files.rows("instance"):
        studies.setdefault(row.fields["study_instance_uid"], []).append(row)
    rows = next(
        found
        for uid, found in studies.items()
        if uid and len({each.fields["series_instance_uid"] for each in found}) > 1
    )
    by_series = {row.fields["series_instance_uid"]: row for row in rows}
    stored = archive.archive_files(
        province.near, [row.path for row in by_series.values()], tmp_path=tmp_path
    )
    study = stored[0].url.partition("/series/")[0]
    assert reader.get(ROOT + study).status_code == 200
    packs = [each.key for each in object_store().list("") if each.key.endswith(".zip")]
    assert len(packs) > 1
    object_store().delete(packs[-1])

    answer = reader.get(ROOT + study)

    assert answer.status_code == 503
    assert packs[-1] not in answer.content.decode()


def test_the_other_copies_of_a_study_are_named_at_the_common_root(province, reader, tmp_path):
    path = dicom_files.row("pydicom/test_files/ct_small.dcm").path
    here = archive.archive_files(province.near, [path], tmp_path=tmp_path / "a")[0]
    archive.archive_files(province.partner, [path], tmp_path=tmp_path / "b")
    archive.archive_files(province.far, [path], tmp_path=tmp_path / "c")  # which may not be seen

    series = here.url.partition("/instances/")[0]
    for url in (here.url, f"{here.url}/frames/1", f"{series}/metadata"):
        answer = reader.get(ROOT + url)
        within = reader.get(f"{ROOT}at/near/{url}")

        assert answer["Link"] == (
            f'<http://testserver/dicom-web/at/partner/{url}>; rel="alternate"'
        )
        assert "Link" not in within
        assert reader.get(answer["Link"].split(">")[0][1:]).status_code == 200


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_all_bulk_data_and_all_pixels_of_a_level_come_in_parts(native, reader, level):
    study, _, rest = native.url.partition("/series/")
    url = {"study": study, "series": f"{study}/series/{rest.split('/')[0]}"}.get(level, native.url)
    octets = 'multipart/related; type="application/octet-stream"'

    values = parts_of(get(reader, f"{url}/bulkdata", octets))
    frames = parts_of(get(reader, f"{url}/pixeldata", octets))
    made = parts_of(get(reader, f"{url}/pixeldata", 'multipart/related; type="image/jls"'))

    base = f"http://testserver{ROOT}{native.url}"
    pixels = pydicom.dcmread(io.BytesIO(native.data)).PixelData
    by_place = {header["content-location"]: data for header, data in values}
    assert by_place[f"{base}/bulkdata/7FE00010"] == pixels
    assert [(header["content-location"], data) for header, data in frames] == [
        (f"{base}/frames/1", pixels)
    ]
    assert [header["content-type"] for header, _ in made] == [f"image/jls; transfer-syntax={JLS}"]


def test_what_has_no_pixels_has_none_to_give(province, reader, tmp_path):
    report = store(province, tmp_path, "pydicom/test_files/rtplan.dcm")[0]

    assert reader.get(f"{ROOT}{report.url}/pixeldata").status_code == 404
