"""The cache of hot packs: bounded, shared by threads and processes, never in the way."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.storage import ByteStream, ObjectMissing, StoreUnavailable, object_store
from common.storage.cache import ObjectCache, open_object
from common.storage.files import FileStore, stream_file

CONTENT = bytes(range(256)) * 400


class Distant:
    """A store that is not local, made of a file store; writes down each request."""

    def __init__(self, root: Path, *, delay_s: float = 0) -> None:
        self._files = FileStore(root)
        self.log = root.parent / "requests"
        self.delay_s = delay_s

    def put_bytes(self, key, data):
        return self._files.put_bytes(key, data)

    def head(self, key):
        return self._files.head(key)

    def stream(self, key, *, offset=0, length=None, chunk_bytes=4096):
        with self.log.open("a") as log:
            log.write(f"{key} {offset} {length}\n")
        inner = self._files.stream(key, offset=offset, length=length, chunk_bytes=chunk_bytes)

        def chunks():
            for chunk in inner:
                time.sleep(self.delay_s)
                yield chunk

        return ByteStream(chunks(), inner.close)

    @property
    def requests(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def store(tmp_path: Path) -> Distant:
    distant = Distant(tmp_path / "far")
    for name in "abcdef":
        distant.put_bytes(f"packs/{name}", name.encode() + CONTENT)
    return distant


def cache_of(store, tmp_path: Path, *, objects: float = 4, patience_s: float = 30) -> ObjectCache:
    bound = int(objects * (len(CONTENT) + 1))
    return ObjectCache(store, tmp_path / "cache", max_bytes=bound, patience_s=patience_s)


def held_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def use(cache: ObjectCache, name: str) -> bytes:
    with cache.open_object(f"packs/{name}") as found:
        assert found.size == len(CONTENT) + 1
        assert b"".join(found.stream(1)) == CONTENT
        return found.read(0, 3)


def test_an_object_is_fetched_once_and_then_read_here(store, tmp_path):
    cache = cache_of(store, tmp_path)

    assert use(cache, "a") == use(cache, "a") == use(cache_of(store, tmp_path), "a")

    assert store.requests == ["packs/a 0 None"]
    assert len(held_files(tmp_path)) == 1


def test_ranges_are_exact_or_refused(store, tmp_path):
    with cache_of(store, tmp_path).open_object("packs/a") as found:
        assert found.read(5, 10) == CONTENT[4:14]
        assert found.read(0, 0) == b""
        assert b"".join(found.stream(2, 7)) == CONTENT[1:8]
        with pytest.raises(StoreUnavailable, match="ends 1 bytes before"):
            found.read(len(CONTENT), 2)


def test_a_stream_stays_usable_when_the_object_was_left_and_the_cache_deleted(store, tmp_path):
    with cache_of(store, tmp_path).open_object("packs/a") as found:
        chunks = found.stream()
    shutil.rmtree(tmp_path / "cache")

    assert b"".join(chunks) == b"a" + CONTENT


def test_what_is_missing_is_missing(store, tmp_path):
    with pytest.raises(ObjectMissing), cache_of(store, tmp_path).open_object("packs/none"):
        pass


def test_the_least_recently_used_leave_first_and_the_bound_holds(store, tmp_path):
    cache = cache_of(store, tmp_path, objects=3)
    for name in "abc":
        use(cache, name)
        time.sleep(0.02)
    use(cache, "a")

    use(cache, "d")
    use(cache, "a")
    use(cache, "b")

    assert [line.split()[0][-1] for line in store.requests] == list("abcdb")
    assert sum(path.stat().st_size for path in held_files(tmp_path)) <= 3 * (len(CONTENT) + 1)


def test_what_would_push_out_everything_else_is_read_from_the_store(store, tmp_path):
    assert use(cache_of(store, tmp_path, objects=1.5), "a") == b"a\x00\x01"

    assert store.requests == ["packs/a 1 None", "packs/a 0 3"]
    assert held_files(tmp_path) == []


def test_a_cache_deleted_at_any_time_is_filled_again(store, tmp_path):
    cache = cache_of(store, tmp_path)
    stop = threading.Event()

    def delete() -> None:
        while not stop.wait(0.001):
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        for _ in range(100):
            assert use(cache, "a") == b"a\x00\x01"
    finally:
        stop.set()
        deleter.join()


def test_one_download_serves_many_threads(store, tmp_path):
    store.delay_s = 0.01
    cache = cache_of(store, tmp_path)

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda _: use(cache, "a"), range(24))) == {b"a\x00\x01"}

    assert len(store.requests) == 1
    assert len(held_files(tmp_path)) == 1


def _use_in_process(root: Path, tmp_path: Path) -> None:
    use(cache_of(Distant(root, delay_s=0.01), tmp_path), "a")


def test_one_download_serves_many_processes(store, tmp_path):
    spawn = multiprocessing.get_context("forkserver")
    children = [
        spawn.Process(target=_use_in_process, args=(tmp_path / "far", tmp_path)) for _ in range(4)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0] * 4
    assert len(store.requests) == 1


def _stall_in_process(root: Path, tmp_path: Path) -> None:
    use(cache_of(Distant(root, delay_s=5), tmp_path), "a")


def test_a_process_killed_while_it_fetches_leaves_nothing_in_the_way(store, tmp_path):
    child = multiprocessing.get_context("forkserver").Process(
        target=_stall_in_process, args=(tmp_path / "far", tmp_path)
    )
    child.start()
    deadline = time.monotonic() + 60
    while not any(path.suffix == ".part" for path in held_files(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join(10)

    assert use(cache_of(store, tmp_path), "a") == b"a\x00\x01"
    use(cache_of(store, tmp_path), "b")

    assert len(held_files(tmp_path)) == 2


def test_who_waited_long_enough_reads_from_the_store(store, tmp_path):
    slow = Distant(tmp_path / "far", delay_s=0.1)
    fetching = threading.Thread(target=use, args=(cache_of(slow, tmp_path), "a"))
    fetching.start()
    while not store.requests:
        time.sleep(0.01)

    start = time.monotonic()
    found = use(cache_of(store, tmp_path, patience_s=0.05), "a")
    waited = time.monotonic() - start

    assert fetching.is_alive()
    fetching.join()
    assert found == b"a\x00\x01"
    assert waited < 1


def test_a_failed_download_leaves_nothing_and_is_told(store, tmp_path):
    cache = cache_of(store, tmp_path)
    stream = store.stream

    def broken(key, **more):
        with stream(key, **more) as chunks:
            first = next(chunks)

        def some():
            yield first
            raise StoreUnavailable("broke off", reason="unreachable")

        return ByteStream(some(), lambda: None)

    store.stream = broken
    with pytest.raises(StoreUnavailable), cache.open_object("packs/a"):
        pass
    assert held_files(tmp_path) == []

    store.stream = stream
    assert use(cache, "a") == b"a\x00\x01"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_or_unwritable_disk_means_reading_from_the_store(
    store, tmp_path, monkeypatch, number
):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", fail)

    assert use(cache_of(store, tmp_path), "a") == b"a\x00\x01"

    assert held_files(tmp_path) == []


def test_what_a_former_boot_left_is_dropped(store, tmp_path):
    former = tmp_path / "cache" / "former-boot" / "aa"
    former.mkdir(parents=True)
    (former / "torn").write_bytes(b"\0" * 100)

    use(cache_of(store, tmp_path), "a")

    assert not former.exists()


def test_what_is_removed_for_good_leaves_no_local_copy(store, tmp_path):
    cache = cache_of(store, tmp_path)
    use(cache, "a")
    use(cache, "b")

    cache.forget("packs/a")
    cache.forget("packs/a")

    whole = [path for path in held_files(tmp_path) if not path.suffix]
    assert [path.read_bytes()[:1] for path in whole] == [b"b"]


def test_the_file_store_is_read_in_place(tmp_path, settings):
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/objects"
    settings.DATA_DIR = tmp_path
    FileStore(tmp_path / "objects").put_bytes("packs/a", b"a" + CONTENT)

    with open_object("packs/a") as found:
        assert found.read(0, 3) == b"a\x00\x01"

    assert held_files(tmp_path) == []
    with pytest.raises(ObjectMissing), open_object("packs/none"):
        pass


def test_a_pack_that_is_read_again_stays_open_for_seconds_only(tmp_path, settings, monkeypatch):
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/objects"
    settings.DATA_DIR = tmp_path
    FileStore(tmp_path / "objects").put_bytes("packs/a", b"a" + CONTENT)
    opened, really_open = [], FileStore.open
    monkeypatch.setattr(
        FileStore, "open", lambda self, key: opened.append(key) or really_open(self, key)
    )

    for _ in range(3):
        with open_object("packs/a") as found:
            assert found.read(0, 3) == b"a\x00\x01"
    assert opened == ["packs/a"]

    object_store().delete("packs/a")
    now = time.monotonic()
    monkeypatch.setattr("common.kept.time.monotonic", lambda: now + 11)
    with pytest.raises(ObjectMissing), open_object("packs/a"):
        pass


def test_files_that_stay_open_are_few_and_closed_when_they_are_crowded_out(tmp_path, settings):
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/objects"
    settings.DATA_DIR = tmp_path
    before = len(os.listdir("/proc/self/fd"))
    for number in range(100):
        FileStore(tmp_path / "objects").put_bytes(f"packs/{number}", b"x")
        with open_object(f"packs/{number}") as found:
            assert found.size == 1

    assert len(os.listdir("/proc/self/fd")) - before <= 16


@pytest.mark.minio
def test_packs_of_a_real_server_become_local_files(tmp_path, settings, minio_url):
    settings.OBJECT_STORE_URL = minio_url
    settings.DATA_DIR = tmp_path
    key = f"cache-test/{os.urandom(6).hex()}"
    object_store().put_bytes(key, CONTENT)

    with open_object(key) as found:
        assert found.read(1, 3) == CONTENT[1:4]
    object_store().delete(key)

    with open_object(key) as found:
        assert b"".join(found.stream()) == CONTENT
    assert len(held_files(tmp_path)) == 1


def test_a_streamed_file_is_closed_by_its_reader(tmp_path):
    (tmp_path / "x").write_bytes(b"x" * 10)
    file = (tmp_path / "x").open("rb", buffering=0)

    with stream_file(file, "x", offset=0, length=None, chunk_bytes=3) as chunks:
        next(chunks)

    assert file.closed
