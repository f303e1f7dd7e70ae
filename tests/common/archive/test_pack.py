"""Packs: ordinary ZIP files, exact digests, and no loss when the writer is killed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.archive import zip_format
from common.archive.errors import DuplicateEntry, PackBusy, PackNotWritable
from common.archive.pack import PackWriter
from tests.support.packs import add, digest_of, sha256, write_pack

CONTENTS = [b"first instance", b"x" * 70_000, os.urandom(123_456), b"D"]


def assert_is_zip_of(path: Path, contents: list[bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert [archive.read(info) for info in archive.infolist()] == contents
        assert {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_STORED}


def test_a_pack_is_an_ordinary_zip_and_its_entries_lie_where_it_says(tmp_path):
    pack = write_pack(tmp_path / "pack.zip", CONTENTS)

    data = pack.path.read_bytes()
    assert_is_zip_of(pack.path, CONTENTS)
    assert [data[e.offset : e.offset + e.size] for e in pack.entries] == CONTENTS
    assert [e.sha256 for e in pack.entries] == [sha256(content) for content in CONTENTS]
    assert [e.name for e in pack.entries] == [f"1.2.{n}.dcm" for n in range(4)]
    assert (pack.size, pack.digest) == (len(data), digest_of(data, pack.entries))


def test_a_pack_without_entries_is_an_empty_zip(tmp_path):
    assert_is_zip_of(write_pack(tmp_path / "pack.zip", []).path, [])


@pytest.mark.parametrize("limit", [zip_format.LIMIT_32, 60_000, 100, 1])
def test_info_zip_accepts_and_extracts_a_pack(tmp_path, limit):
    if shutil.which("unzip") is None:
        pytest.skip("Info-ZIP's unzip is not installed")
    writer = PackWriter(tmp_path / "pack.zip", zip64_limit=limit)
    for number, content in enumerate(CONTENTS):
        add(writer, f"1.2.{number}.dcm", content)
    writer.seal()

    tested = subprocess.run(["unzip", "-t", "pack.zip"], cwd=tmp_path, capture_output=True)
    extracted = subprocess.run(
        ["unzip", "-q", "pack.zip", "-d", "out"], cwd=tmp_path, capture_output=True
    )

    assert (tested.returncode, tested.stderr) == (0, b"")
    assert (extracted.returncode, extracted.stderr) == (0, b"")
    assert [(tmp_path / f"out/1.2.{n}.dcm").read_bytes() for n in range(4)] == CONTENTS
    assert_is_zip_of(tmp_path / "pack.zip", CONTENTS)


def test_the_same_entries_give_the_same_bytes(tmp_path):
    first = write_pack(tmp_path / "first.zip", CONTENTS)
    time.sleep(0.01)
    second = write_pack(tmp_path / "second.zip", CONTENTS)

    assert first.digest == second.digest
    assert first.entries == second.entries


def test_the_name_may_be_given_first_or_last(tmp_path):
    longest = "1." + "2" * 62 + ".dcm"
    writer = PackWriter(tmp_path / "pack.zip")

    offset = writer.begin(longest)
    writer.write(b"abc")
    first = writer.commit()
    writer.begin("provisional")
    writer.write(b"defg")
    second = writer.commit("1.2.dcm")
    writer.seal()

    assert (first.name, first.offset, second.name) == (longest, offset, "1.2.dcm")
    assert_is_zip_of(tmp_path / "pack.zip", [b"abc", b"defg"])


@pytest.mark.parametrize("name", ["", "../x.dcm", "a/b", "a\\b", "é.dcm", "1" * 75])
def test_a_name_that_is_no_plain_file_name_is_refused_and_the_entry_can_be_dropped(tmp_path, name):
    writer = PackWriter(tmp_path / "pack.zip")
    writer.begin()
    writer.write(b"abc")

    with pytest.raises(ValueError, match=r"name|ascii"):
        writer.commit(name)

    writer.discard()
    assert writer.entries == ()
    writer.abort()


def test_an_entry_can_be_read_before_it_is_committed(tmp_path):
    writer = PackWriter(tmp_path / "pack.zip")
    offset = writer.begin()
    writer.write(b"first")
    writer.file.seek(offset)
    assert writer.file.read() == b"first"
    writer.discard()

    offset = writer.begin()
    writer.write(b"other")
    writer.file.seek(offset)

    assert writer.file.read() == b"other"
    assert writer.current == (offset, 5, sha256(b"other"))
    writer.abort()


def test_a_discarded_entry_leaves_no_trace(tmp_path):
    expected = write_pack(tmp_path / "expected.zip", CONTENTS)
    writer = PackWriter(tmp_path / "pack.zip")
    for number, content in enumerate(CONTENTS):
        writer.begin("to be dropped")
        writer.write(os.urandom(50_000))
        writer.discard()
        add(writer, f"1.2.{number}.dcm", content)

    assert writer.seal().digest == expected.digest


def test_a_name_is_used_once(tmp_path):
    writer = PackWriter(tmp_path / "pack.zip")
    add(writer, "1.2.dcm", b"first")
    writer.begin()
    writer.write(b"second")

    with pytest.raises(DuplicateEntry):
        writer.commit("1.2.dcm")

    writer.discard()
    assert writer.find("1.2.dcm").sha256 == sha256(b"first")
    assert writer.find("1.3.dcm") is None
    writer.seal()
    assert_is_zip_of(tmp_path / "pack.zip", [b"first"])


def test_the_order_of_calls_is_kept(tmp_path):
    writer = PackWriter(tmp_path / "pack.zip")
    for call in (lambda: writer.write(b"x"), writer.commit, writer.discard):
        with pytest.raises(RuntimeError):
            call()
    writer.begin()
    for call in (writer.begin, writer.seal):
        with pytest.raises(RuntimeError):
            call()
    writer.abort()
    writer.abort()
    assert not (tmp_path / "pack.zip").exists()
    with pytest.raises(RuntimeError):
        writer.begin()


def test_two_writers_never_share_a_pack(tmp_path):
    writer = PackWriter(tmp_path / "pack.zip")
    add(writer, "1.2.dcm", b"content")

    for other in (PackWriter, PackWriter.resume):
        with pytest.raises(PackBusy):
            other(tmp_path / "pack.zip")

    writer.close()
    again = PackWriter.resume(tmp_path / "pack.zip")
    assert [entry.name for entry in again.entries] == ["1.2.dcm"]
    again.abort()


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "disk-full"), (errno.EIO, "failed")])
def test_a_failing_disk_is_told_and_the_committed_entries_stay(
    tmp_path, monkeypatch, number, reason
):
    writer = PackWriter(tmp_path / "pack.zip")
    add(writer, "1.2.dcm", b"content")
    writer.begin("1.3.dcm")
    with monkeypatch.context() as patch:

        def fail(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        patch.setattr(os, "pwrite", fail)
        with pytest.raises(PackNotWritable) as caught:
            writer.write(b"more")
    assert caught.value.facts["reason"] == reason

    writer.discard()
    writer.seal()
    assert_is_zip_of(tmp_path / "pack.zip", [b"content"])


def test_a_sealed_pack_can_be_resumed_and_sealed_again_to_the_same_bytes(tmp_path):
    pack = write_pack(tmp_path / "pack.zip", CONTENTS)

    again = PackWriter.resume(tmp_path / "pack.zip").seal()

    assert again == pack


def test_resuming_what_does_not_exist_or_is_no_pack_starts_a_new_one(tmp_path):
    (tmp_path / "other.zip").write_bytes(b"PK\x03\x04 is not enough to be a pack" * 10)

    for name in ("none.zip", "other.zip"):
        writer = PackWriter.resume(tmp_path / name)
        assert writer.entries == ()
        add(writer, "1.2.0.dcm", b"x")
        writer.seal()
        assert_is_zip_of(tmp_path / name, [b"x"])


@given(cut=st.integers(0, 2000), flips=st.lists(st.integers(0, 1999), max_size=2))
@settings(max_examples=150, deadline=None)
def test_a_torn_or_damaged_file_resumes_with_whole_entries_only(cut, flips):
    contents = [b"a" * 300, b"b" * 500, b"c" * 200]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pack.zip"
        expected = write_pack(path, contents)
        data = bytearray(path.read_bytes()[:cut])
        for position in flips:
            if position < len(data):
                data[position] ^= 0x40
        path.write_bytes(data)

        writer = PackWriter.resume(path)
        kept = len(writer.entries)
        by_digest = [entry.sha256 for entry in writer.entries]
        assert by_digest == [entry.sha256 for entry in expected.entries[:kept]]
        for number in range(kept, len(contents)):
            add(writer, f"1.2.{number}.dcm", contents[number])
        sealed = writer.seal()

        assert_is_zip_of(path, contents)
        assert sealed.digest == digest_of(path.read_bytes(), sealed.entries)
        if not flips:
            assert sealed.digest == expected.digest


@st.composite
def operations(draw: st.DrawFn) -> list[tuple[bytes, int, bool]]:
    """Contents, the size of the pieces they come in, and whether they are kept."""
    one = st.tuples(st.binary(max_size=3000), st.integers(1, 700), st.booleans())
    return draw(st.lists(one, max_size=12))


@given(steps=operations(), limit=st.sampled_from([zip_format.LIMIT_32, 1, 500, 1500]))
@settings(max_examples=150, deadline=None)
def test_any_series_of_entries_becomes_a_valid_zip(steps, limit):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pack.zip"
        writer = PackWriter(path, zip64_limit=limit)
        kept: list[bytes] = []
        for content, piece, keep in steps:
            writer.begin()
            for start in range(0, len(content), piece):
                writer.write(memoryview(content)[start : start + piece])
            if keep:
                entry = writer.commit(f"1.{len(kept)}.dcm")
                assert (entry.size, entry.sha256) == (len(content), sha256(content))
                kept.append(content)
            else:
                writer.discard()
        sealed = writer.seal()

        assert_is_zip_of(path, kept)
        data = path.read_bytes()
        assert [data[e.offset : e.offset + e.size] for e in sealed.entries] == kept
        assert sealed.digest == digest_of(data, sealed.entries)
        resumed = PackWriter.resume(path, zip64_limit=limit)
        assert resumed.entries == sealed.entries
        assert resumed.seal() == sealed


@given(
    entries=st.lists(
        st.tuples(st.integers(0, 2**42), st.integers(128, 2**44), st.integers(0, 2**32 - 1)),
        max_size=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_headers_and_directory_hold_sizes_and_offsets_beyond_32_bits(entries):
    records = [
        zip_format.ZipEntry(f"1.{n}.dcm", offset, size, crc)
        for n, (size, offset, crc) in enumerate(entries)
    ]

    tail = b"".join(zip_format.directory(records, start=2**43))

    assert zip_format.parse_directory(tail) == records
    assert len(tail) <= zip_format.directory_room(len(records))
    for record in records:
        header = zip_format.local_header(record)
        assert len(header) == zip_format.HEADER_BYTES
        assert zip_format.parse_local_header(header, record.header_offset) == record


def test_more_entries_than_a_classic_zip_can_count(tmp_path):
    writer = PackWriter(tmp_path / "pack.zip")
    for number in range(65_600):
        writer.begin(f"1.{number}.dcm")
        writer.commit()
    writer.seal()

    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        assert len(archive.infolist()) == 65_600


@pytest.mark.slow
def test_a_pack_beyond_4_gib_is_readable_by_others(tmp_path):
    if shutil.disk_usage(tmp_path).free < 6 * 2**30:
        pytest.skip("less than 6 GiB free for temporary files")
    chunk = bytes(2**24)
    writer = PackWriter(tmp_path / "pack.zip")
    writer.begin("1.1.dcm")
    for _ in range(4 * 64 + 1):
        writer.write(chunk)
    writer.commit()
    add(writer, "1.2.dcm", b"behind 4 GiB")
    pack = writer.seal()

    with zipfile.ZipFile(pack.path) as archive:
        assert archive.getinfo("1.1.dcm").file_size == pack.entries[0].size > 2**32
        assert archive.read("1.2.dcm") == b"behind 4 GiB"
    if shutil.which("unzip"):
        tested = subprocess.run(["unzip", "-tq", pack.path], capture_output=True)
        assert (tested.returncode, tested.stderr) == (0, b"")


def _write_for_ever(path: Path) -> None:
    writer = PackWriter(path)
    number = 0
    while True:
        add(writer, f"1.2.{number}.dcm", sha256(str(number).encode()).encode() * 500)
        number += 1


@pytest.mark.parametrize("after_entries", [1, 20, 60])
def test_a_killed_writer_is_followed_by_one_that_keeps_what_was_committed(tmp_path, after_entries):
    path = tmp_path / "pack.zip"
    child = multiprocessing.get_context("forkserver").Process(target=_write_for_ever, args=(path,))
    child.start()
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < after_entries * 32_128:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    child.join(10)

    writer = PackWriter.resume(path)

    kept = len(writer.entries)
    assert kept >= after_entries - 1
    expected = [sha256(str(number).encode()).encode() * 500 for number in range(kept + 1)]
    add(writer, f"1.2.{kept}.dcm", expected[-1])
    writer.seal()
    assert_is_zip_of(path, expected)
