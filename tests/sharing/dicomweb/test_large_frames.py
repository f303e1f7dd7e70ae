"""Large frames go out in chunks, and are rendered a few at a time or not at all."""

from __future__ import annotations

import hashlib
import threading
import time
import tracemalloc
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pydicom
import pytest
from django.core.cache import cache
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from common.dicomweb.render import Picture
from sharing.dicomweb import drawing
from sharing.dicomweb.documents import held_series
from sharing.selectors import place_series
from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_retrieve import ROOT, SMALL
from tests.support import archive

MIB = 2**20
FRAME_BYTES = 48 * MIB
OCTETS = "application/octet-stream; transfer-syntax=*"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()
    drawing.forget_pictures()


def write_compressed(path: Path, frame: bytes, *, fragments: int = 1, side: int = 64) -> Path:
    """An instance of one frame of these bytes, which no decoder has seen."""
    dataset: Dataset = pydicom.dcmread(SMALL)
    dataset.Rows = dataset.Columns = side
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([frame], fragments_per_frame=fragments)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def read_and_measure(reader: Any, url: str, accept: str) -> tuple[int, str, int]:
    """Bytes that came, their digest, and the most that was allocated on the way."""
    tracemalloc.start()
    try:
        answer = reader.get(url, headers={"accept": accept})
        assert answer.status_code == 200
        digest, size = hashlib.sha256(), 0
        for chunk in answer.streaming_content if answer.streaming else [answer.content]:
            digest.update(chunk)
            size += len(chunk)
        answer.close()
        return size, digest.hexdigest(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fragments", [1, 300])
@pytest.mark.parametrize("multipart", [False, True])
def test_a_large_frame_is_never_held_whole(
    province: Province, reader: Any, tmp_path: Path, fragments: int, multipart: bool
) -> None:
    frame = b"\xff\x4f\xff\x51" + bytes(range(256)) * (FRAME_BYTES // 256)
    path = write_compressed(tmp_path / "large.dcm", frame, fragments=fragments)
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]
    accept = f"multipart/related; type={OCTETS}" if multipart else OCTETS

    size, digest, most = read_and_measure(reader, f"{ROOT}{stored.url}/frames/1", accept)

    assert most < 6 * MIB
    assert size > len(frame) if multipart else size == len(frame)
    assert multipart or digest == hashlib.sha256(frame).hexdigest()


@pytest.mark.parametrize(
    ("frame", "side"),
    [
        pytest.param(b"\xff\x4f" * 100, 9000, id="more pixels than are rendered"),
        pytest.param(bytes(4 * MIB), 64, id="more bytes than its pixels can need"),
    ],
)
def test_a_frame_that_is_too_large_to_be_rendered_is_not_even_read(
    province: Province,
    reader: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    frame: bytes,
    side: int,
) -> None:
    def never(*_: Any) -> bytes:
        raise AssertionError("read")

    monkeypatch.setattr(drawing, "read_one", never)
    path = write_compressed(tmp_path / "large.dcm", frame, side=side)
    stored = archive.archive_files(province.near, [path], tmp_path=tmp_path)[0]

    answer = reader.get(f"{ROOT}{stored.url}/rendered")

    assert answer.status_code == 406
    assert "large" in answer.content.decode()


@pytest.fixture
def drawn(province: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What ``draw`` needs for a small instance that counts as a large one."""
    monkeypatch.setattr(drawing, "LARGE_SAMPLES", 100)
    stored = archive.archive_files(province.near, [SMALL], tmp_path=tmp_path)[0]
    place = place_series(
        actor=province.radiologist,
        study_instance_uid=stored.header.study_instance_uid,
        series_instance_uid=stored.header.series_instance_uid,
    )
    held = held_series(place)
    shot = drawing.Shot(held, held.instance(stored.header.sop_instance_uid))
    return shot, Picture(), stored


def test_large_frames_are_rendered_two_at_a_time(
    drawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def slow(*_: Any, **__: Any) -> bytes:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.1)
        with lock:
            now[0] -= 1
        return b"picture"

    monkeypatch.setattr(drawing, "render", slow)
    done: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: done.append(drawing.draw(*drawn[:2]))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done == [b"picture"] * 6
    assert most == [2]


def test_who_waits_too_long_for_a_large_picture_is_told_to_come_back(
    drawn: Any, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "PATIENCE_S", 0.01)
    url = f"{ROOT}{drawn[2].url}/rendered"
    with ExitStack() as stack:
        for _ in range(drawing.LARGE_AT_ONCE):
            stack.enter_context(drawing._places_for_large)
        busy = reader.get(url)
    after = reader.get(url)

    assert busy.status_code == 503
    assert "Retry-After" in busy
    assert after.status_code == 200


def test_large_frames_are_drawn_in_threads_of_their_own(
    drawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: set[str] = set()

    def noting(*_: Any, **__: Any) -> bytes:
        names.add(threading.current_thread().name.rpartition("_")[0])
        return b"picture"

    monkeypatch.setattr(drawing, "render", noting)
    drawing.draw(*drawn[:2])
    monkeypatch.setattr(drawing, "LARGE_SAMPLES", 2**30)
    drawing.draw(*drawn[:2])

    assert names == {"drawing", threading.current_thread().name.rpartition("_")[0]}
