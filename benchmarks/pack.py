#!/usr/bin/env python
"""Packs: MB/s of writing, proving and ranged reads, beside what the machine does at best in the same run.

    python benchmarks/pack.py [--mib 512] [--instance-kib 512] [--url file:///DIR | minio://...]

Prints one line per measurement with its ratio to the raw SHA-256 and to a plain copy of the file, then
peak memory. Numbers depend on the machine; the ratios much less so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from common.archive.documents import InstanceEntry, SeriesIndex  # noqa: E402  (after the path)
from common.archive.pack import PackWriter, SealedPack  # noqa: E402
from common.archive.verify import verify_pack  # noqa: E402
from common.dicom.frames import Frames  # noqa: E402
from common.storage import ObjectStore, open_store  # noqa: E402
from common.storage.cache import ObjectCache  # noqa: E402

PIECE = 65_536  # what an HTTP response yields at a time
READS = 2000


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of this process's CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def write(path: Path, count: int, size: int, piece: bytes) -> SealedPack:
    writer = PackWriter(path)
    for number in range(count):
        writer.begin()
        for start in range(0, size, len(piece)):
            writer.write(piece[: min(len(piece), size - start)])
        writer.commit(f"1.2.{number}.dcm")
    return writer.seal()


def index_of(pack: SealedPack, key: str) -> SeriesIndex:
    instances = tuple(
        InstanceEntry(
            entry.name.removesuffix(".dcm"), "1.2", "1.2", None,
            entry.offset, entry.size, entry.sha256, Frames(),
        )
        for entry in pack.entries
    )  # fmt: skip
    return SeriesIndex("B", "1.2", "1.3", 1, key, pack.size, pack.digest, "", instances)


def hash_file(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def copy_synced(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def read_ranges(store: ObjectStore, folder: Path, pack: SealedPack, key: str) -> None:
    chosen = random.Random(1).choices(pack.entries, k=READS)
    cache = ObjectCache(store, folder / "cache", max_bytes=4 * pack.size)
    for entry in chosen:
        with cache.open_object(key) as found:
            found.read(entry.offset, entry.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--instance-kib", type=int, default=512)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    size = options.instance_kib * 1024
    count = max(1, options.mib * 2**20 // size)
    with tempfile.TemporaryDirectory(prefix="pack-benchmark-") as name:
        measure(Path(name), options.url, count, size)


def measure(folder: Path, url: str, count: int, size: int) -> None:
    store = open_store(url or f"file://{folder}/objects")
    store.check()
    key = f"benchmark/{os.getpid()}.zip"
    path, copy = folder / "pack.zip", folder / "copy"
    packs: list[SealedPack] = []
    piece = os.urandom(PIECE)
    megabytes = count * size / 1e6
    results = {"write pack (network excluded)": timed(
        lambda: packs.append(write(path, count, size, piece))
    )}  # fmt: skip
    pack = packs[0]
    index = index_of(pack, key)
    results["raw sha256 of the file"] = raw = timed(lambda: hash_file(path))
    results["plain copy with fsync"] = plain = timed(lambda: copy_synced(path, copy))
    results["resume (re-read, check)"] = timed(lambda: PackWriter.resume(copy).abort())
    results["put into the store"] = timed(lambda: store.put_file(key, path))
    results["verify in the store"] = timed(lambda: require_clean(store, index))
    for label, (wall, cpu) in results.items():
        print(
            f"{label:32} {megabytes / wall:8.0f} MB/s {cpu / megabytes * 1000:6.2f} CPU s/GB"
            f"   {raw[0] / wall:5.2f} x sha256   {plain[0] / wall:5.2f} x copy"
        )
    read_ranges(store, folder, pack, key)  # fetched by now, where there is something to fetch
    wall, _ = timed(lambda: read_ranges(store, folder, pack, key))
    read = READS * size / 1e6
    print(f"{'ranged reads, hot':32} {read / wall:8.0f} MB/s {READS / wall:8.0f} reads/s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    store.delete(key)


def require_clean(store: ObjectStore, index: SeriesIndex) -> None:
    faults = verify_pack(store, index)
    if faults:
        raise SystemExit(f"the pack did not verify: {faults[:3]}")


if __name__ == "__main__":
    main()
