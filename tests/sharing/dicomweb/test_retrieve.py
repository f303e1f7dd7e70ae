"""Retrieve Transaction (PS3.18 §10.4): what comes back is what the hospital sent."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.dicomweb.media_types import parse_media_type
from common.dicomweb.multipart import iter_parts
from common.storage import object_store
from sharing import permissions, selectors
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive, dicom_files

ROOT = "/dicom-web/"
SMALL = dicom_files.row("pydicom/test_files/ct_small.dcm").path if dicom_files.rows() else Path()


def one_of_each_syntax() -> list[dicom_files.Row]:
    """The smallest file of every transfer syntax, and one more with several frames where there is."""
    best: dict[tuple[str, bool], dicom_files.Row] = {}
    for row in sorted(dicom_files.rows("instance"), key=lambda each: int(each.fields["bytes"])):
        many = row.fields["frames"] not in {"", "1"}
        if row.fields["study_instance_uid"] and row.fields["series_instance_uid"]:
            best.setdefault((row.transfer_syntax_uid, many), row)
    return list(best.values())


NATIVE = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}
ROWS = one_of_each_syntax()
IDS = [f"{row.transfer_syntax_uid}-{row.name}" for row in ROWS]


def body_of(answer: Any) -> bytes:
    return answer.getvalue() if not answer.streaming else b"".join(answer.streaming_content)


def parts_of(answer: Any) -> list[tuple[dict[str, str], bytes]]:
    media_type = parse_media_type(answer["Content-Type"])
    assert media_type is not None
    body = body_of(answer)
    if "Content-Length" in answer:
        assert int(answer["Content-Length"]) == len(body)
    return [
        (dict(part.headers), b"".join(part.chunks()))
        for part in iter_parts([body], boundary=media_type.boundary)
    ]


@pytest.fixture
def small(province: Province, tmp_path: Path) -> archive.Stored:
    return archive.archive_files(province.near, [SMALL], tmp_path=tmp_path)[0]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_an_instance_comes_back_byte_for_byte(
    province: Province, reader: Any, tmp_path: Path, row: dicom_files.Row
) -> None:
    stored = archive.archive_files(province.near, [row.path], tmp_path=tmp_path)[0]

    whole = reader.get(
        ROOT + stored.url, headers={"accept": "application/dicom; transfer-syntax=*"}
    )
    header, data = parts_of(reader.get(ROOT + stored.url))[0]

    assert hashlib.sha256(body_of(whole)).hexdigest() == row.sha256
    assert whole["Content-Type"] == f"application/dicom; transfer-syntax={row.transfer_syntax_uid}"
    assert hashlib.sha256(data).hexdigest() == row.sha256
    assert row.transfer_syntax_uid in header["content-type"]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_frames_are_those_that_pydicom_finds(
    province: Province, reader: Any, tmp_path: Path, row: dicom_files.Row
) -> None:
    stored = archive.archive_files(province.near, [row.path], tmp_path=tmp_path)[0]
    count = stored.header.frames.count
    if count == 0:
        answer = reader.get(f"{ROOT}{stored.url}/frames/1")
        assert answer.status_code == 404
        return
    numbers = sorted({1, count})

    answer = reader.get(
        f"{ROOT}{stored.url}/frames/{','.join(map(str, numbers))}",
        headers={"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"},
    )

    assert answer.status_code == 200
    found = [data for _, data in parts_of(answer)]
    assert found == [expected_frame(row.path, number, count) for number in numbers]
    assert "transfer-syntax=" in answer["Content-Type"]


def expected_frame(path: Path, number: int, count: int) -> bytes:
    """The frame as pydicom cuts it out: encapsulated as encoded, native in little endian."""
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    keyword = next(
        word for word in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if word in dataset
    )
    data: bytes = dataset[keyword].value
    if syntax not in NATIVE:
        return pydicom.encaps.get_frame(data, number - 1, number_of_frames=count)
    if dataset.get("BitsAllocated") == 1:
        bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
        whole = int.from_bytes(data, "little") >> (number - 1) * bits & (1 << bits) - 1
        return whole.to_bytes(-(-bits // 8), "little")
    size = (
        len(data) // count
        if count > 1
        else dataset.Rows * dataset.Columns * (dataset.SamplesPerPixel * dataset.BitsAllocated // 8)
    )
    frame = data[(number - 1) * size : number * size]
    if syntax == ExplicitVRBigEndian and dataset.BitsAllocated > 8:
        word = dataset.BitsAllocated // 8
        frame = b"".join(frame[at : at + word][::-1] for at in range(0, len(frame), word))
    elif syntax == ExplicitVRBigEndian and dataset[keyword].VR == "OW":
        frame = b"".join(frame[at : at + 2][::-1] for at in range(0, len(frame), 2))
    return frame


def test_a_frame_has_its_own_media_type_where_the_viewer_takes_any(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    path = dicom_files.row("cornerstone/ct1_j2kr.dcm").path
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]
    url = f"{ROOT}{stored.url}/frames/1"

    types = {
        accept: reader.get(url, headers={"accept": accept})
        for accept in (
            'multipart/related; type="*/*"',
            "*/*",
            'multipart/related; type="image/jp2"; transfer-syntax="1.2.840.10008.1.2.4.90"',
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            'multipart/related; type="application/octet-stream"',
            "image/jp2; transfer-syntax=*",
        )
    }

    header = [
        parts_of(answer)[0][0]["content-type"]
        if answer["Content-Type"].startswith("multipart")
        else (answer.status_code, answer["Content-Type"], len(body_of(answer)) > 0)
        for answer in types.values()
    ]
    named = "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"
    octets = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.90"
    assert header[0] == named
    assert header[2] == named
    assert header[3] == octets
    # Octets in no named syntax are Explicit VR Little Endian (§8.7.3.5.2).
    assert header[4] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert header[5] == (200, named, True)


def test_a_series_comes_whole_with_its_length_and_in_parts(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    rows = [row for row in dicom_files.rows("instance") if row.name.startswith("dcm_qa_ct/")]
    files = archive.archive_files(province.near, [row.path for row in rows], tmp_path=tmp_path)
    study, _, series = files[0].url.partition("/series/")
    series_url = f"{ROOT}{study}/series/{series.partition('/')[0]}"

    by_series = parts_of(reader.get(series_url))
    by_study = parts_of(reader.get(ROOT + study))

    digests = sorted(hashlib.sha256(file.data).hexdigest() for file in files)
    assert len(files) > 20
    assert sorted(hashlib.sha256(data).hexdigest() for _, data in by_series) == digests
    assert sorted(hashlib.sha256(data).hexdigest() for _, data in by_study) == digests


def test_a_transfer_syntax_that_is_not_made_is_refused_with_the_reason(
    small: archive.Stored, reader: Any
) -> None:
    answer = reader.get(
        ROOT + small.url,
        headers={
            "accept": 'multipart/related; type="application/dicom"; '
            "transfer-syntax=1.2.840.10008.1.2.4.91"
        },
    )

    assert answer.status_code == 406
    assert small.header.transfer_syntax_uid in answer.content.decode()
    assert answer["Content-Type"].startswith("text/plain")


def test_metadata_is_the_stored_document_at_every_level(small: archive.Stored, reader: Any) -> None:
    study, _, rest = small.url.partition("/series/")
    series = f"{study}/series/{rest.partition('/')[0]}"

    plain = reader.get(f"{ROOT}{series}/metadata")
    packed = reader.get(f"{ROOT}{series}/metadata", headers={"accept-encoding": "gzip"})
    by_study = reader.get(f"{ROOT}{study}/metadata")
    by_instance = reader.get(f"{ROOT}{small.url}/metadata")

    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert "Content-Encoding" not in plain
    assert json.loads(plain.content)[0]["00080018"]["Value"] == [small.header.sop_instance_uid]
    absolute = f"http://testserver{ROOT}{small.url}/bulkdata/7FE00010"
    for answer in (plain, by_study, by_instance):
        [attributes] = json.loads(body_of(answer))
        assert attributes["7FE00010"]["BulkDataURI"] == absolute
    for answer in (plain, packed, by_study, by_instance):
        assert answer["Content-Type"] == "application/dicom+json"


def test_metadata_known_to_the_caller_is_not_sent_again(small: archive.Stored, reader: Any) -> None:
    url = f"{ROOT}{small.url}/metadata"
    tag = reader.get(url)["ETag"]

    same = reader.get(url, headers={"if-none-match": tag})
    other = reader.get(url, headers={"if-none-match": '"another"'})

    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == 200


def test_bulk_data_are_the_value_that_the_metadata_names(
    small: archive.Stored, reader: Any
) -> None:
    [attributes] = json.loads(reader.get(f"{ROOT}{small.url}/metadata").content)
    uri = attributes["7FE00010"]["BulkDataURI"]

    single = reader.get(uri, headers={"accept": "application/octet-stream"})
    several = reader.get(
        uri, headers={"accept": 'multipart/related; type="application/octet-stream"'}
    )

    pixels = pydicom.dcmread(small.path).PixelData
    assert body_of(single) == pixels
    assert parts_of(several)[0][1] == pixels


def test_a_study_that_was_not_pulled_says_so_and_when_to_ask_again(
    province: Province, reader: Any
) -> None:
    archive.make_indexed_study(province.near, "1.2.3")

    answers = [
        reader.get(f"{ROOT}studies/1.2.3{rest}")
        for rest in ("", "/metadata", "/series/1.2.4", "/series/1.2.4/instances/1.2.5/frames/1")
    ]

    for answer in answers:
        assert answer.status_code == 503
        assert int(answer["Retry-After"]) > 0
        assert "Progress: /api/v1/studies/" in answer.content.decode()


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("studies/1.2.abc", 400),
        ("studies/1.2/series/..", 400),
        (f"studies/{'1' * 65}", 400),
        ("studies/1.2.3.4.5", 404),
        ("studies/1.2.3.4.5/series/1.2", 404),
        ("studies/1.2.3.4.5/metadata", 404),
        ("at/nowhere/studies/1.2.3.4.5", 404),
        ("nothing/like/this", 404),
        ("", 404),
    ],
)
def test_what_is_not_there_or_not_valid_is_answered_in_text(
    reader: Any, rest: str, status: int
) -> None:
    answer = reader.get(ROOT + rest)

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.content


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("/frames/0", 400),
        ("/frames/x", 400),
        ("/frames/1,", 400),
        ("/frames/1,01", 400),
        ("/frames/2", 404),
        ("/bulkdata/00100010", 404),
        ("/rendered?window=1", 400),
        ("/rendered?window=1,0,linear", 400),
        ("/rendered?viewport=0,5", 400),
        ("/rendered?viewport=99999,5", 400),
        ("/rendered?quality=101", 400),
        ("/rendered?accept=image/tiff", 406),
    ],
)
def test_parameters_that_are_not_valid_are_refused(
    small: archive.Stored, reader: Any, rest: str, status: int
) -> None:
    answer = reader.get(f"{ROOT}{small.url}{rest}")

    assert answer.status_code == status
    assert answer.content


def test_head_has_the_headers_and_no_body(small: archive.Stored, reader: Any) -> None:
    got = reader.get(ROOT + small.url, headers={"accept": "application/dicom"})
    asked = reader.head(ROOT + small.url, headers={"accept": "application/dicom"})

    assert asked.status_code == 200
    assert asked["Content-Length"] == got["Content-Length"] == str(len(small.data))
    assert body_of(asked) == b""
    body_of(got)


def test_head_of_a_stream_without_a_length_says_none(small: archive.Stored, reader: Any) -> None:
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.5'

    asked = reader.head(ROOT + small.url, headers={"accept": accept})

    assert asked.status_code == 200
    assert "Content-Length" not in asked


def test_writing_is_refused_and_options_say_what_is_allowed(
    small: archive.Stored, reader: Any
) -> None:
    refused = reader.delete(ROOT + small.url)
    options = reader.options(ROOT + small.url)

    assert refused.status_code == 405
    assert refused["Allow"] == options["Allow"] == "GET, HEAD, OPTIONS"


def every_resource(stored: archive.Stored) -> list[str]:
    study, _, rest = stored.url.partition("/series/")
    series = f"{study}/series/{rest.partition('/')[0]}"
    return [
        study,
        series,
        stored.url,
        f"{study}/metadata",
        f"{series}/metadata",
        f"{stored.url}/metadata",
        f"{study}/series",
        f"{study}/instances",
        f"{series}/instances",
        f"{stored.url}/frames/1",
        f"{stored.url}/bulkdata/7FE00010",
        f"{stored.url}/rendered",
        f"{stored.url}/frames/1/rendered",
        f"{stored.url}/thumbnail",
    ]


@pytest.mark.parametrize(
    ("role", "at", "status"),
    [
        pytest.param("radiologist", "near", 200, id="own institution"),
        pytest.param("clinician", "partner", 200, id="consortium"),
        pytest.param("institution_admin", "partner", 404, id="administrators see their own only"),
        pytest.param("radiologist", "far", 404, id="another consortium"),
        pytest.param("commission", None, 404, id="commission sees figures"),
        pytest.param("operator", None, 404, id="operator sees counts"),
        pytest.param("auditor", None, 404, id="auditor sees bills"),
        pytest.param("", None, 404, id="no role"),
    ],
)
def test_every_resource_asks_who_may_see_it(
    small: archive.Stored, province: Province, client: Any, role: str, at: str | None, status: int
) -> None:
    place = getattr(province, at) if at else None
    client.force_login(archive.make_user("somebody", role, place))

    for root in (ROOT, f"{ROOT}at/near/"):
        for rest in every_resource(small):
            answer = client.get(root + rest)
            assert answer.status_code == status, rest
            body_of(answer)


def test_strangers_are_turned_away_and_a_token_is_enough(
    small: archive.Stored, client: Any, token: str
) -> None:
    for rest in ["studies", "series", *every_resource(small)]:
        assert client.get(ROOT + rest).status_code == 401, rest
        allowed = client.get(ROOT + rest, headers={"authorization": f"Bearer {token}"})
        assert allowed.status_code == 200, rest
        body_of(allowed)


def test_the_wrong_institution_has_nothing_of_it(small: archive.Stored, reader: Any) -> None:
    assert reader.get(f"{ROOT}at/partner/{small.url}").status_code == 404
    assert reader.get(f"{ROOT}at/near/{small.url}").status_code == 200


def test_a_withdrawn_right_ends_frames_that_were_being_read(
    small: archive.Stored, province: Province, reader: Any
) -> None:
    url = f"{ROOT}{small.url}/frames/1"
    before = reader.get(url)
    body_of(before)
    province.radiologist.memberships.all().delete()
    permissions.forget_sights()

    assert before.status_code == 200
    assert reader.get(url).status_code == 404


def test_a_frame_costs_no_query_of_ours_while_the_place_is_kept(
    small: archive.Stored, reader: Any, django_assert_max_num_queries: Any
) -> None:
    url = f"{ROOT}{small.url}/frames/1"
    body_of(reader.get(url))

    with django_assert_max_num_queries(2):  # session and account
        body_of(reader.get(url))


def test_reads_are_in_the_audit_with_their_basis(
    small: archive.Stored, province: Province, reader: Any
) -> None:
    from django.db import connection

    for _ in range(3):
        body_of(reader.get(f"{ROOT}{small.url}/frames/1"))
    body_of(reader.get(ROOT + small.url))

    with connection.cursor() as cursor:
        cursor.execute("SELECT values FROM audit_repeatedaccess")
        entries = [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in cursor]
    found = {
        (entry["purpose"], entry["basis"], entry["study_instance_uid"]): entry["actor_id"]
        for entry in entries
    }
    uid = small.header.study_instance_uid
    assert found == {
        ("view", "own-institution", uid): province.radiologist.pk,
        ("retrieve", "own-institution", uid): province.radiologist.pk,
    }


def test_a_pack_that_is_gone_is_an_error_before_the_answer_begins(
    small: archive.Stored, reader: Any
) -> None:
    from common.storage import object_store

    series = small.study.series.get()
    object_store().delete(f"{series.current.prefix}.zip")
    selectors.forget_places()

    answer = reader.get(ROOT + small.url)

    assert answer.status_code in {404, 503}
    assert answer["Content-Type"].startswith("text/plain")


def test_a_lost_pack_is_damage_and_not_an_absent_study(
    province: Province, reader: Any, tmp_path: Path
) -> None:
    stored = archive.archive_files(province.near, [SMALL], tmp_path=tmp_path)[0]
    packs = [stat.key for stat in object_store().list("archive/") if stat.key.endswith(".zip")]
    for key in packs:
        object_store().delete(key)

    answer = reader.get(f"{ROOT}{stored.url}")

    assert answer.status_code == 503
    assert all(key not in answer.content.decode() for key in packs)
