"""Memory is a constant, whatever the size: each story in a process of its own, which reports its peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MIB = 2**20

STORY = """
import json, os, sys
from pathlib import Path
from common.archive.pack import PackWriter
from common.archive.verify import verify_pack
from common.storage import open_store
from tests.support.packs import index_of

def peak():
    # Not getrusage: there a new process starts with the peak of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024

def write(path, count, size):
    piece = os.urandom(65_536)
    writer = PackWriter(path)
    for number in range(count):
        writer.begin()
        for _ in range(size // len(piece)):
            writer.write(piece)
        writer.commit(f"1.2.{number}.dcm")
    return writer.seal()

def story(store, folder, count, size):
    pack = write(folder / "pack.zip", count, size)
    index = index_of(pack, "memory-test/pack.zip")
    store.put_file(index.pack_key, pack.path)
    with pack.path.open("rb") as file:
        store.put_stream("memory-test/stream", file)
    PackWriter.resume(pack.path).abort()
    faults = verify_pack(store, index)
    for key in (index.pack_key, "memory-test/stream"):
        store.delete(key)
    return faults

store, folder = open_store(sys.argv[1]), Path(sys.argv[2])
story(store, folder, 2, 20 * 2**20)
before = peak()
faults = story(store, folder, 30, 10 * 2**20)
print(json.dumps({"before": before, "after": peak(), "faults": len(faults)}))
"""


def run_story(url: str, folder: Path) -> dict[str, int]:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell a process's peak memory")
    done = subprocess.run(
        [sys.executable, "-c", STORY, url, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


def test_300_mib_written_stored_resumed_and_proved_take_no_more_memory_than_40(tmp_path):
    told = run_story(f"file://{tmp_path}/objects", tmp_path)

    assert told["faults"] == 0
    assert told["after"] - told["before"] < 8 * MIB
    assert told["after"] < 150 * MIB


@pytest.mark.minio
def test_300_mib_to_a_real_server_take_no_more_memory_than_40(tmp_path, minio_url):
    told = run_story(minio_url, tmp_path)

    assert told["faults"] == 0
    assert told["after"] - told["before"] < 24 * MIB  # a part more or less in the allocator
    assert told["after"] < 200 * MIB
