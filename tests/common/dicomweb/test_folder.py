import datetime as dt
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from common.dicomweb import folder_index
from common.dicomweb.errors import OriginNotFound, OriginUnreachable
from common.dicomweb.folder import FolderOrigin
from common.dicomweb.folder_index import FolderIndex
from common.dicomweb.origin import first_value
from tests.support.dicom_files import row, rows

CT = "cornerstone/ctimage.dcm"


@pytest.fixture
def hospital(tmp_path) -> Path:
    folder = tmp_path / "hospital"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, source: str = CT) -> Path:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(row(source).path, target)
    return target


def open_(folder: Path, **options) -> FolderOrigin:
    return FolderOrigin(folder, **({"settle_s": 0, "max_age_s": 0} | options))


def studies(origin: FolderOrigin, **question) -> list:
    asked = {"since": None, "until": None, "limit": 1000, "offset": 0} | question
    return origin.search_studies(**asked)


def uids(name: str = CT) -> dict[str, str]:
    fields = row(name).fields
    return {
        "study_instance_uid": fields["study_instance_uid"],
        "series_instance_uid": fields["series_instance_uid"],
    }


def digests(origin: FolderOrigin, **asked: str) -> list[str]:
    with origin.retrieve_series(**asked) as parts:
        return [hashlib.sha256(b"".join(part.chunks())).hexdigest() for part in parts]


def test_nesting_and_names_mean_nothing(hospital):
    put(hospital, "flat")
    put(hospital, "a/b/c d/数据/x.bin", "cornerstone/ct1_j2kr.dcm")

    found = studies(open_(hospital))

    assert {first_value(one, "0020000D") for one in found} == {
        uids()["study_instance_uid"],
        uids("cornerstone/ct1_j2kr.dcm")["study_instance_uid"],
    }
    assert all(first_value(one, "00201208") == 1 for one in found)
    assert all(one["00080061"]["Value"] == ["CT"] for one in found)


def test_every_instance_comes_as_it_lies_on_the_disk(hospital):
    sources = rows("instance")[:80]
    for number, source in enumerate(sources):
        shutil.copyfile(source.path, hospital / str(number))
    origin = open_(hospital)
    broken = {name for name, _ in origin.broken_files()}

    got = []
    for study in studies(origin):
        study_uid = first_value(study, "0020000D")
        for series in origin.search_series(study_instance_uid=study_uid):
            got += digests(
                origin,
                study_instance_uid=study_uid,
                series_instance_uid=first_value(series, "0020000E"),
            )

    assert len(got) > 70
    assert sorted(got) == sorted(
        source.sha256 for number, source in enumerate(sources) if str(number) not in broken
    )


def test_new_files_are_found_and_deleted_ones_are_gone(hospital):
    first = put(hospital, "one")
    origin = open_(hospital)
    assert len(studies(origin)) == 1

    put(hospital, "new/two", "cornerstone/ct1_j2kr.dcm")
    assert len(studies(origin)) == 2

    first.unlink()
    assert [first_value(one, "0020000D") for one in studies(origin)] == [
        uids("cornerstone/ct1_j2kr.dcm")["study_instance_uid"]
    ]
    with pytest.raises(OriginNotFound):
        digests(origin, **uids())


def test_a_second_look_opens_no_file(hospital, tmp_path, monkeypatch):
    put(hospital, "one")
    open_(hospital, cache_dir=tmp_path / "cache").search_series(**{"study_instance_uid": "1"})

    def never(*_args, **_kwargs):
        raise AssertionError("a file was read again")

    monkeypatch.setattr(folder_index, "read_instance", never)

    anew = FolderIndex(hospital, cache_dir=tmp_path / "cache", character_set="", settle_s=0)
    anew.refresh(max_age_s=0)

    assert [first_value(one, "0020000D") for one in anew.studies()] == [
        uids()["study_instance_uid"]
    ]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1, "files": {"x": [1]}}']
)
def test_a_damaged_cache_is_made_anew(hospital, tmp_path, damage):
    put(hospital, "one")
    for _ in range(2):
        index = FolderIndex(hospital, cache_dir=tmp_path / "cache", character_set="", settle_s=0)
        index.refresh(max_age_s=0)
        assert len(index.studies()) == 1
        (cache,) = (tmp_path / "cache").iterdir()
        assert stat.S_IMODE(cache.stat().st_mode) == 0o600
        cache.write_bytes(damage)


def test_a_changed_file_is_read_again(hospital):
    path = put(hospital, "one")
    origin = open_(hospital)
    studies(origin)

    put(hospital, "one", "cornerstone/ct1_j2kr.dcm")
    os.utime(path, (1, 1))

    assert [first_value(one, "0020000D") for one in studies(origin)] == [
        uids("cornerstone/ct1_j2kr.dcm")["study_instance_uid"]
    ]


def test_the_hospital_s_folder_is_never_written(hospital, tmp_path):
    put(hospital, "a/one")
    before = [(path, path.stat().st_mtime_ns) for path in sorted(hospital.rglob("*"))]
    origin = open_(hospital, cache_dir=tmp_path / "cache")
    studies(origin)
    digests(origin, **uids())

    assert [(path, path.stat().st_mtime_ns) for path in sorted(hospital.rglob("*"))] == before
    with pytest.raises(ValueError, match="must not lie"):
        open_(hospital, cache_dir=hospital / "cache")


def test_broken_files_are_reported_by_name_and_the_rest_is_delivered(hospital):
    put(hospital, "good")
    put(hospital, "sub/坏.dcm", "malformed/pydicom/mr_truncated.dcm")
    (hospital / "notes").write_bytes(b"nothing of the kind")
    (hospital / "empty").touch()

    origin = open_(hospital)

    assert len(studies(origin)) == 1
    assert [(name, text.split(":")[0]) for name, text in origin.broken_files()] == [
        ("empty", "not-dicom"),
        ("notes", "not-dicom"),
        ("sub/坏.dcm", "truncated"),
    ]


def test_media_directories_and_litter_are_skipped(hospital):
    for number, source in enumerate(rows("dicomdir")):
        shutil.copyfile(source.path, hospital / f"index{number}")
    shutil.copyfile(rows("dicomdir")[0].path, hospital / "DICOMDIR")
    (hospital / "Thumbs.db").write_bytes(b"x")
    (hospital / ".hidden").write_bytes(b"x")
    origin = open_(hospital)

    assert studies(origin) == []
    assert origin.broken_files() == []


def test_a_link_that_leads_out_of_the_folder_is_refused(hospital, tmp_path):
    outside = put(tmp_path, "outside/secret")
    put(hospital, "inside", "cornerstone/ct1_j2kr.dcm")
    (hospital / "out").symlink_to(outside)
    (hospital / "out-folder").symlink_to(outside.parent)
    (hospital / "dangling").symlink_to("nowhere")
    (hospital / "loop").symlink_to(hospital)
    origin = open_(hospital)

    assert len(studies(origin)) == 1
    assert {name for name, _ in origin.broken_files()} == {"out", "out-folder", "dangling"}


def test_a_file_that_is_still_being_written_waits_for_the_next_look(hospital):
    path = put(hospital, "one")
    origin = open_(hospital, settle_s=60)
    assert studies(origin) == []
    assert origin.broken_files() == []

    os.utime(path, (time.time() - 61,) * 2)

    assert len(studies(origin)) == 1


def test_one_sop_instance_uid_with_other_bytes_is_delivered_twice(hospital):
    put(hospital, "one")
    data = bytearray((hospital / "one").read_bytes())
    data[-1] ^= 1
    (hospital / "two").write_bytes(data)
    origin = open_(hospital)

    assert len(set(digests(origin, **uids()))) == 2
    assert len(origin.search_instances(**uids())) == 1
    assert first_value(studies(origin)[0], "00201208") == 1
    with origin.retrieve_instance(**uids(), sop_instance_uid=row(CT).sop_instance_uid) as parts:
        assert len(list(parts)) == 2


def test_windows_of_dates_and_pages(hospital):
    for number, source in enumerate(rows("instance")):
        shutil.copyfile(source.path, hospital / str(number))
    origin = open_(hospital)
    everything = studies(origin)

    paged, offset = [], 0
    while not (page := studies(origin, limit=7, offset=offset)).is_last:
        paged += page
        offset += page.received
    window = studies(origin, since=dt.date(2004, 1, 1), until=dt.date(2004, 12, 31))

    assert paged == everything
    days = {first_value(one, "00080020") for one in window}
    assert days
    assert all(day is None or day.startswith("2004") for day in days)
    undated = [one for one in everything if not first_value(one, "00080020")]
    assert undated
    assert all(one in window for one in undated), "a study without a date must be found somewhere"


def test_a_folder_that_is_not_there_is_unreachable_and_nothing_is_forgotten(hospital, tmp_path):
    put(hospital, "one")
    origin = open_(hospital)
    studies(origin)
    hospital.rename(tmp_path / "away")

    with pytest.raises(OriginUnreachable):
        studies(origin)

    (tmp_path / "away").rename(hospital)
    assert len(studies(origin)) == 1


def test_the_declared_override_decodes_names_without_character_set(hospital):
    source = next(one for one in rows() if one.name.endswith("chrx2.dcm"))
    data = source.path.read_bytes()
    at = data.index(b"\x08\x00\x05\x00CS")
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    (hospital / "one").write_bytes(data[:at] + data[at + 8 + length :])
    origin = open_(hospital, character_set="GB18030")

    found = studies(origin)

    assert not origin.broken_files()
    assert "王" in first_value(found[0], "00100010")["Ideographic"]
