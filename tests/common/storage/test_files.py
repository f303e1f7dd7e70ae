"""What only the file store promises."""

from __future__ import annotations

import errno
import os
import time
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from common.storage import StoreUnavailable, open_store
from common.storage.files import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "objects")


def visible(store: FileStore) -> list[str]:
    return [str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()]


def test_an_object_is_the_file_of_its_key(store):
    store.put_bytes("archive/H1/1.2/pack.zip", b"x")

    assert visible(store) == ["archive/H1/1.2/pack.zip"]


def test_moving_within_a_file_system_renames(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    inode = source.stat().st_ino

    store.put_file("moved", source, move=True)

    assert store.path_of("moved").stat().st_ino == inode


def test_moving_across_file_systems_copies(store, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self == source:
            raise OSError(errno.EXDEV, "other file system")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    store.put_file("moved", source, move=True)

    assert store.get_bytes("moved") == b"content"
    assert not source.exists()
    assert visible(store) == ["moved"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EIO, "failed"),
        (errno.EACCES, "refused"),
    ],
)
def test_a_failing_disk_is_told_and_leaves_nothing(store, tmp_path, monkeypatch, number, reason):
    source = tmp_path / "source"
    source.write_bytes(b"content")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    for put in (
        lambda: store.put_bytes("a", b"content"),
        lambda: store.put_stream("a", BytesIO(b"content")),
        lambda: store.put_file("a", source),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            put()
        assert caught.value.facts["reason"] == reason
    assert visible(store) == []
    assert source.read_bytes() == b"content"


def test_a_really_full_disk_is_told(store, monkeypatch):
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full on this system")
    opened = Path.open

    def to_full(self: Path, mode: str = "r", *args: object, **more: object):
        if "x" in mode:
            return opened(Path("/dev/full"), "wb", buffering=0)
        return opened(self, mode, *args, **more)

    monkeypatch.setattr(Path, "open", to_full)

    with pytest.raises(StoreUnavailable) as caught:
        store.put_bytes("a", b"content")

    assert caught.value.facts["reason"] == "disk-full"


def test_a_root_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = FileStore(tmp_path / "file" / "objects")

    with pytest.raises(StoreUnavailable) as caught:
        store.check()

    assert "folder of the object store" in str(caught.value)


def test_what_interrupted_writers_left_is_removed_when_old_enough(store):
    store.put_bytes("kept", b"x")
    left = store.root / ".incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 7200,) * 2)
    (store.root / ".incoming" / "young").write_bytes(b"half")

    assert store.abandon_uploads(timedelta(hours=1)) == 1
    assert not left.exists()
    assert (store.root / ".incoming" / "young").exists()
    assert [stat.key for stat in store.list("")] == ["kept"]


def test_the_address_names_the_folder(tmp_path):
    folder = tmp_path / "with space"

    store = open_store(f"file://{tmp_path}/with%20space")

    assert isinstance(store, FileStore)
    assert store.root == folder


@pytest.mark.parametrize("url", ["s3://bucket", "file://relative/x/..", "minio://host"])
def test_another_address_is_refused(url):
    with pytest.raises(ValueError, match="address"):
        open_store(url if url != "file://relative/x/.." else "file:relative")
