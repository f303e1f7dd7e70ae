"""Decoders are processes of their own: what a frame does to one stays there (ADR 0013)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from common.dicom.codecs import pool as pool_module
from common.dicom.codecs.decoders import _DECODERS
from common.dicom.codecs.decoding import CODECS
from common.dicom.codecs.errors import DecodersBusy, NotDecodable
from common.dicom.codecs.pool import DecoderPool
from common.dicom.codecs.spec import PixelSpec
from tests.support.installation import wait_until

PLATFORM = Path(pool_module.__file__).resolve().parents[3]
PIXELS = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint16)
SPEC = PixelSpec(rows=64, columns=48, bits_allocated=16, bits_stored=16)
FRAME = imagecodecs.htj2k_encode(PIXELS, reversible=True)
JOB = {"decode": "htj2k", "spec": SPEC.to_json(), "rgb": False}


@pytest.fixture
def pool():
    made = DecoderPool(processes=2, memory_bytes=256 * 2**20, time_s=2)
    yield made
    made.close()


def decoded(pool: DecoderPool) -> bool:
    return pool.run(JOB, FRAME, most_bytes=SPEC.native_bytes) == PIXELS.tobytes()


def refused(pool: DecoderPool) -> None:
    with pytest.raises(NotDecodable):
        decoded(pool)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], *, within_s: float = 5) -> bool:
    until = time.monotonic() + within_s
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(is_running, pids))


def test_one_process_serves_one_caller_again_and_again(pool):
    assert all(decoded(pool) for _ in range(5))
    assert len(pool.pids()) == 1


def test_processes_are_started_for_callers_at_the_same_time_up_to_the_bound(pool):
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(decoded(pool) and decoded(pool)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 8
    assert 1 <= len(pool.pids()) <= 2


def test_a_refused_frame_leaves_its_process_at_work(pool):
    with pytest.raises(NotDecodable, match="damaged"):
        pool.run(JOB, b"nothing", most_bytes=SPEC.native_bytes)
    pids = pool.pids()

    assert decoded(pool)
    assert pool.pids() == pids


def test_a_process_that_dies_is_replaced_and_its_frame_refused(pool):
    assert decoded(pool)
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(NotDecodable, match="brought its decoder down"):
        decoded(pool)

    assert decoded(pool)
    assert pool.pids() != [pid]


def test_a_process_that_hangs_is_ended_at_its_time_limit(pool):
    assert decoded(pool)
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()

    with pytest.raises(NotDecodable, match="took too long"):
        decoded(pool)

    assert time.monotonic() - began < 6
    assert gone([pid])
    assert decoded(pool)


def test_memory_has_a_limit():
    tight = DecoderPool(processes=1, memory_bytes=32 * 2**20, time_s=5)
    large = PixelSpec(rows=8000, columns=8000, bits_allocated=16, bits_stored=16)
    frame = imagecodecs.htj2k_encode(np.zeros((8000, 8000), np.uint16), reversible=True)
    job = JOB | {"spec": large.to_json()}
    try:
        with pytest.raises(NotDecodable):
            tight.run(job, frame, most_bytes=large.native_bytes)
        assert decoded(tight)
    finally:
        tight.close()


def test_who_finds_all_at_work_is_told_so(pool, monkeypatch):
    monkeypatch.setattr(pool_module, "PATIENCE_S", 0.1)
    single = DecoderPool(processes=1, memory_bytes=256 * 2**20, time_s=2)
    try:
        assert decoded(single)
        os.kill(single.pids()[0], signal.SIGSTOP)
        waiting = threading.Thread(target=refused, args=[single])
        waiting.start()
        wait_until("the only decoder is at work", lambda: not single._idle, timeout_s=5)

        with pytest.raises(DecodersBusy):
            decoded(single)

        waiting.join()
    finally:
        single.close()


def test_the_environment_of_a_decoder_holds_no_secret(pool, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "not for decoders")
    assert decoded(pool)

    environ = Path(f"/proc/{pool.pids()[0]}/environ").read_bytes()

    assert b"not for decoders" not in environ
    assert b"SECRET_KEY" not in environ


_PARENT = """
import sys, time
from common.dicom.codecs.pool import DecoderPool
import json
pool = DecoderPool(processes=1, memory_bytes=256 * 2**20, time_s=2)
try:
    pool.run(json.loads(sys.argv[1]), b"nothing", most_bytes=1)
except Exception as error:
    print(*pool.pids(), flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "ending"),
    [
        pytest.param("time.sleep(60)", signal.SIGKILL, id="killed while idle"),
        pytest.param("", None, id="ends by itself"),
        pytest.param(
            # The pool's child inherits the pipes; it must not keep the decoder alive.
            "import os\nif os.fork() == 0: pool.forget(); time.sleep(5); os._exit(0)\ntime.sleep(60)",
            signal.SIGKILL,
            id="killed while a forked child lives",
        ),
    ],
)
def test_no_decoder_outlives_its_server(then, ending):
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(then=then), json.dumps(JOB)],
        env={"PYTHONPATH": str(PLATFORM)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    process.stdout.close()
    if ending is not None:
        process.send_signal(ending)
    process.wait(timeout=20)

    assert len(pids) == 1
    assert gone(pids, within_s=3)


def test_every_codec_named_exists():
    assert set(CODECS.values()) == set(_DECODERS)
