"""One suite for both object stores: what the rest of the program relies on."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from common.storage import BadKey, ObjectMissing, ObjectStore, StoreUnavailable, open_store
from common.storage.minio import PART_BYTES, MinioStore

Open = Callable[[], ObjectStore]


@pytest.fixture(params=["files", pytest.param("minio", marks=pytest.mark.minio)])
def open_again(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Open]:
    """Opens the same, at first empty, store once more, as another process would."""
    if request.param == "files":
        url = f"file://{tmp_path_factory.mktemp('objects')}"
        yield lambda: open_store(url)
        return
    parts = urlsplit(request.getfixturevalue("minio_url"))
    url = urlunsplit(parts._replace(path=f"/contract-{uuid4().hex}"))
    yield lambda: open_store(url)
    store = open_store(url)
    assert isinstance(store, MinioStore)
    for stat in list(store.list("")):
        store.delete(stat.key)
    with store._translated("") as client:
        client.remove_bucket(store.address.bucket)


@pytest.fixture
def store(open_again: Open) -> ObjectStore:
    return open_again()


def random_file(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while size:
            chunk = os.urandom(min(size, 2**20))
            file.write(chunk)
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def digest_of(store: ObjectStore, key: str) -> str:
    digest = hashlib.sha256()
    for chunk in store.stream(key):
        digest.update(chunk)
    return digest.hexdigest()


def test_what_was_put_comes_back_also_through_another_connection(store, open_again):
    before = datetime.now(UTC) - timedelta(minutes=1)

    stat = store.put_bytes("archive/H1/a.json", b"content", content_type="application/json")

    other = open_again()
    assert other.get_bytes("archive/H1/a.json") == b"content"
    assert other.head("archive/H1/a.json").size == stat.size == 7
    assert stat.key == "archive/H1/a.json"
    assert before < stat.modified_at < datetime.now(UTC) + timedelta(minutes=1)


def test_an_empty_object_is_an_object(store):
    store.put_bytes("empty", b"")
    store.put_stream("empty-too", BytesIO())

    assert store.head("empty").size == store.head("empty-too").size == 0
    assert store.get_bytes("empty") == b""
    assert list(store.stream("empty")) == []
    assert list(store.stream("empty", offset=3)) == []


@pytest.mark.parametrize(
    "size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 5]
)
def test_files_of_all_sizes_around_a_part_are_stored_whole(store, tmp_path, size):
    source = tmp_path / "source"
    digest = random_file(source, size)

    kept = store.put_file("by/file", source)
    with source.open("rb") as file:
        streamed = store.put_stream("by/stream", file)

    assert kept.size == streamed.size == size
    assert digest_of(store, "by/file") == digest_of(store, "by/stream") == digest
    assert source.exists()


def test_moving_a_file_consumes_it(store, tmp_path):
    source = tmp_path / "source"
    digest = random_file(source, 300_000)

    store.put_file("moved", source, move=True)

    assert not source.exists()
    assert digest_of(store, "moved") == digest


def test_putting_again_replaces_the_object(store):
    store.put_bytes("again", b"a longer first version")

    store.put_bytes("again", b"second")

    assert store.get_bytes("again") == b"second"


def test_a_key_with_han_characters_spaces_and_percent_signs_is_kept(store):
    key = "institutions/省医院 1%2F+?#&=.json"

    store.put_bytes(key, b"x")

    assert [stat.key for stat in store.list("institutions/省")] == [key]
    assert store.get_bytes(key) == b"x"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 1, b"0"),
        (3, 4, b"3456"),
        (7, None, b"789"),
        (7, 100, b"789"),
        (10, None, b""),
        (10, 1, b""),
        (1000, 10, b""),
        (4, 0, b""),
    ],
)
def test_a_range_gives_what_there_is_of_it(store, offset, length, expected):
    store.put_bytes("digits", b"0123456789")

    with store.stream("digits", offset=offset, length=length) as chunks:
        assert b"".join(chunks) == expected


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
def test_a_range_outside_of_everything_is_refused(store, offset, length):
    with pytest.raises(ValueError, match="range"):
        store.stream("digits", offset=offset, length=length)


def test_chunks_are_no_larger_than_asked(store):
    store.put_bytes("chunks", b"x" * 300_001)

    sizes = [len(chunk) for chunk in store.stream("chunks", chunk_bytes=65_536)]

    assert max(sizes) <= 65_536
    assert sum(sizes) == 300_001


def test_what_is_missing_raises_when_asked_for_not_when_read(store):
    for ask in (
        lambda: store.stream("no/such"),
        lambda: store.stream("no/such", offset=5, length=3),
        lambda: store.stream("no/such", length=0),
        lambda: store.get_bytes("no/such"),
        lambda: store.head("no/such"),
    ):
        with pytest.raises(ObjectMissing):
            ask()


def test_a_folder_of_objects_is_no_object(store):
    store.put_bytes("folder/object", b"x")

    with pytest.raises(ObjectMissing):
        store.head("folder")
    with pytest.raises(ObjectMissing):
        store.stream("folder")
    store.delete("folder")
    assert store.get_bytes("folder/object") == b"x"


def test_deleting_removes_and_may_be_repeated(store):
    store.put_bytes("gone", b"x")

    store.delete("gone")
    store.delete("gone")
    store.delete("never/was")

    with pytest.raises(ObjectMissing):
        store.head("gone")


def test_a_stream_goes_on_after_its_object_was_deleted_or_replaced_or_reports_it(store):
    content = os.urandom(4_000_000)
    store.put_bytes("busy", content)

    chunks = store.stream("busy", chunk_bytes=65_536)
    first = next(chunks)
    store.put_bytes("busy", b"other")

    try:
        rest = b"".join(chunks)
    except StoreUnavailable:
        return
    assert first + rest == content


def test_a_stream_left_early_gives_its_file_or_connection_back(store):
    store.put_bytes("large", os.urandom(2_000_000))

    for _ in range(100):
        with store.stream("large", chunk_bytes=1000) as chunks:
            next(chunks)
        assert list(chunks) == []
        store.stream("large")  # dropped without a word
    gc.collect()

    assert store.head("large").size == 2_000_000


def test_listing_gives_every_key_with_the_prefix_in_order(store):
    keys = ["a/b/2", "a/b/1", "a/b0", "a/bc/1", "a/b.x", "ab", "a/c/1", "b/1"]
    for key in keys:
        store.put_bytes(key, key.encode())

    assert [stat.key for stat in store.list("")] == sorted(keys)
    assert [stat.key for stat in store.list("a/")] == sorted(k for k in keys if k[:2] == "a/")
    assert [stat.key for stat in store.list("a/b")] == sorted(k for k in keys if k[:3] == "a/b")
    assert [stat.key for stat in store.list("a/b/")] == ["a/b/1", "a/b/2"]
    assert [stat.key for stat in store.list("a/b/1")] == ["a/b/1"]
    assert list(store.list("zz")) == list(store.list("a/b/1/")) == []
    assert {stat.key: stat.size for stat in store.list("a/b/")} == {"a/b/1": 5, "a/b/2": 5}


def test_listing_goes_on_beyond_one_page(store):
    keys = [f"many/{number:05d}" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_bytes(key, b""), keys))

    assert [stat.key for stat in store.list("many/")] == keys


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "..", "a/../b", "../b", "a/.", ".incoming/x", "a/.b", "a\\b", "a\0b",
     "a\nb", "a/\udce4", "x" * 1025, "a/" + "x" * 256],
)  # fmt: skip
def test_a_key_that_could_leave_the_store_or_not_be_held_is_refused_everywhere(
    store, tmp_path, key
):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for use in (
        lambda: store.put_bytes(key, b"x"),
        lambda: store.put_stream(key, BytesIO(b"x")),
        lambda: store.put_file(key, source, move=True),
        lambda: store.get_bytes(key),
        lambda: store.stream(key),
        lambda: store.head(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(BadKey):
            use()
    assert source.exists()


def test_a_prefix_that_could_leave_the_store_is_refused(store):
    for prefix in ("/", "../", "a/../", "a//"):
        with pytest.raises(BadKey):
            list(store.list(prefix))


class Breaking:
    """A source that breaks after some parts."""

    def __init__(self, left: int) -> None:
        self.left = left

    def read(self, size: int, /) -> bytes:
        if self.left <= 0:
            raise ConnectionResetError("the hospital hung up")
        self.left -= size
        return b"x" * size


@pytest.mark.parametrize("left", [0, 1000, PART_BYTES + 1, 3 * PART_BYTES])
def test_a_source_that_breaks_leaves_no_object_and_no_trace(store, left):
    store.check()

    with pytest.raises(ConnectionResetError):
        store.put_stream("broken", Breaking(left))

    with pytest.raises(ObjectMissing):
        store.head("broken")
    assert list(store.list("")) == []
    assert store.abandon_uploads(timedelta(0)) == 0


def test_a_file_that_does_not_exist_is_not_stored(store, tmp_path):
    with pytest.raises(StoreUnavailable):
        store.put_file("x", tmp_path / "no-such")

    assert list(store.list("")) == []


def test_one_key_put_by_many_at_once_is_one_whole_object(store):
    contents = [bytes([number]) * 700_000 for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: store.put_bytes("contested/key", content), contents))

    assert store.get_bytes("contested/key") in contents


def test_one_store_serves_many_threads(store):
    content = os.urandom(500_000)
    store.put_bytes("shared", content)

    def read(number: int) -> bool:
        offset = number * 1000
        return (
            b"".join(store.stream("shared", offset=offset, length=997))
            == (content[offset : offset + 997])
        )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(400)))


def test_many_may_open_an_empty_store_at_once(open_again):
    barrier = threading.Barrier(6)

    def first_put(number: int) -> int:
        mine = open_again()
        barrier.wait()
        return mine.put_bytes(f"racing/{number}", b"x").size

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(first_put, range(6))) == [1] * 6


def test_check_passes_and_makes_what_is_missing(store):
    store.check()
    store.check()

    assert list(store.list("")) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_store_used_before_a_fork_serves_parent_and_child(store):
    store.put_bytes("before", b"fork")

    child = os.fork()
    if child == 0:
        try:
            good = all(store.get_bytes("before") == b"fork" for _ in range(20))
            store.put_bytes("by-child", b"x")
        except BaseException:  # noqa: BLE001  (whatever it is, the child must not go on as pytest)
            good = False
        os._exit(0 if good else 1)
    mine = all(store.get_bytes("before") == b"fork" for _ in range(20))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine
    assert store.get_bytes("by-child") == b"x"
