"""Rendered pictures beside Orthanc: a CT slice and a large radiograph, drawn anew and from the caches.

Both servers get the same instances and the same addresses, in the same run, from ``wrk`` (apt) with 8 connections. A
picture is drawn anew because each address asks for another slice or another JPEG quality; Orthanc keeps none.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation

from benchmarks.support import (
    ROOT,
    ProcessTree,
    background,
    ct_slice,
    keep,
    manage,
    print_table,
    run_measured,
    scratch_database,
    scratch_folder,
)
from config.embedded.children import web
from tests.support import services

CT_SLICES, CT_PIXELS = 300, 512
DX_IMAGES, DX_ROWS, DX_COLUMNS = 20, 2500, 2048
CONNECTIONS = 8
SCRIPT = """
local paths, at, headers = {}, 0, {}
for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
local token = os.getenv("TOKEN")
if token ~= "" then headers["Authorization"] = "Bearer " .. token end
headers["Accept"] = "image/jpeg"
request = function()
  at = at % #paths + 1
  return wrk.format("GET", paths[at], headers)
end
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=6.0)
    options.add_argument("--folder", default="", help="where the scratch folder is made")
    given = options.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(given.folder))
        files = write_images(folder / "images")
        orthanc = services.new_orthanc(folder / "orthanc", KeepAlive=True, TcpNoDelay=True)
        stack.callback(orthanc.stop)
        orthanc.start()
        for path in files:
            urllib.request.urlopen(f"{orthanc.url}instances", data=path.read_bytes()).close()
        ours, token, pid = stack.enter_context(served(folder, files))
        assert orthanc.process is not None
        theirs = Served(orthanc.dicomweb_url, ProcessTree(orthanc.process.pid))
        rows = measure(theirs, Served(ours, ProcessTree(pid), token), Load(folder, given.seconds))
        print_table(rows)
        print(f"Peak of one web process: {ProcessTree(pid).peak_mb():.0f} MB")
        keep("rendered", rows)


def write_images(folder: Path) -> list[Path]:
    """Slices and radiographs with edges, gradients and noise, so that JPEG has what it usually has."""
    folder.mkdir()
    noise, root = np.random.default_rng(1), f"1.2.826.0.1.3680043.10.7.{time.time_ns()}"
    files = []
    for number in range(1, CT_SLICES + 1):
        data = ct_slice(f"{root}.1", number, CT_PIXELS)
        data.PixelData = phantom(noise, CT_PIXELS, CT_PIXELS, number, 1024, 25).tobytes()
        files.append(saved(folder / f"ct{number}.dcm", data))
    for number in range(1, DX_IMAGES + 1):
        data = ct_slice(f"{root}.2", number, DX_ROWS)
        data.SOPClassUID, data.Modality = DigitalXRayImageStorageForPresentation, "DX"
        data.Columns, data.BitsStored, data.HighBit = DX_COLUMNS, 12, 11
        data.WindowCenter, data.WindowWidth = "2048", "4096"
        data.RescaleIntercept = "0"
        data.PixelData = phantom(noise, DX_ROWS, DX_COLUMNS, number, 1500, 12).tobytes()
        files.append(saved(folder / f"dx{number}.dcm", data))
    return files


def phantom(
    noise: np.random.Generator, rows: int, columns: int, number: int, level: int, grain: float
) -> Any:
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    body = np.hypot(x, y * 1.2) < 0.8
    ribs = np.sin(12 * y + number / 10) * 200 * (np.abs(x) < 0.6)
    shown = body * (level + 300 * x + ribs) + noise.normal(0, grain, (rows, columns))
    return np.clip(shown, 0, 4095).astype("<u2")


def saved(path: Path, data: Dataset) -> Path:
    data.save_as(path, enforce_file_format=True)
    return path


@contextmanager
def served(folder: Path, files: list[Path]) -> Iterator[tuple[str, str, int]]:
    """The product's own web server over an archive of these files."""
    port = services.free_port()
    with scratch_database() as database:
        env = os.environ | {
            "DATABASE_URL": database,
            "OBJECT_STORE_URL": f"file://{folder}/store",
            "IMAGING_DATA_DIR": str(folder / "data"),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
        }
        run_measured(manage("migrate", "-v", "0"), env)
        filling = [sys.executable, str(Path(__file__)), "--fill", str(files[0].parent)]
        subprocess.run(filling, env=env, check=True)
        _, token = run_measured(manage("create_token", "reader"), env)
        log = folder / "web.log"
        with background(web(port=port, threads=16).argv, env, log) as process:
            root = f"http://127.0.0.1:{port}/"
            wait_for(f"{root}healthz", log)
            yield f"{root}dicom-web", token.split()[-1], process.pid


def fill(folder: Path) -> None:
    """Archive the files, in a process whose settings name the scratch database and store."""
    import django

    django.setup()
    from tests.support import archive

    place = archive.make_institution("bench")
    archive.make_user("reader", "radiologist", place)
    archive.archive_files(place, sorted(folder.iterdir()), tmp_path=folder.parent)


def wait_for(url: str, log: Path) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"the web server does not answer\n{log.read_text()[-2000:]}")


@dataclass(frozen=True)
class Served:
    """A DICOMweb root, and the processes behind it."""

    root: str
    processes: ProcessTree
    token: str = ""


def measure(orthanc: Served, ours: Served, load: Load) -> list[dict[str, Any]]:
    slices, radiographs = instances_of(orthanc.root, "CT"), instances_of(orthanc.root, "DX")
    ct = [f"{path}?window=40,400,linear&quality={q}" for q in range(85, 96) for path in slices]
    dx = [
        f"{path}?window=2048,4096,linear&quality={q}"
        for q in range(80, 100)
        for path in radiographs
    ]
    fit = [f"{each}&viewport=1024,1024" for each in dx]
    rows = []
    for name, paths in (("CT slice 512 × 512", ct), ("DX 2048 × 2500", dx), ("DX into 1024", fit)):
        theirs = load.run(orthanc, paths)
        few = [re.sub(r"quality=\d+", "quality=70", path) for path in paths[:20]]
        load.run(ours, few, seconds=2)  # and both processes know the series
        # Each address once: what is drawn a second time comes out of the cache.
        anew = load.run(ours, paths, most=len(paths))
        kept = load.run(ours, few)
        for who, found in (("Orthanc", theirs), ("ours, drawn anew", anew), ("ours, kept", kept)):
            ratios = {
                "× Orthanc": found["req/s"] / theirs["req/s"],
                "× by processor time": theirs["cpu ms"] / found["cpu ms"],
            }
            rows.append({"picture": name, "who": who, **found, **ratios})
    return rows


def instances_of(orthanc: str, modality: str) -> list[str]:
    """Paths of ``rendered`` resources below a DICOMweb root."""
    import json

    def asked(path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.load(urllib.request.urlopen(f"{orthanc}{path}"))
        return found

    def value(item: dict[str, Any], tag: str) -> str:
        return str(item[tag]["Value"][0])

    series = asked(f"/series?Modality={modality}")[0]
    base = f"/studies/{value(series, '0020000D')}/series/{value(series, '0020000E')}"
    instances = asked(f"{base}/instances?limit=1000")
    return [f"{base}/instances/{value(each, '00080018')}/rendered" for each in instances]


class Load:
    """Runs of ``wrk`` with one thread and eight connections."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        (folder / "load.lua").write_text(SCRIPT, encoding="utf-8")

    def run(
        self, server: Served, paths: list[str], *, seconds: float = 0, most: int = 0
    ) -> dict[str, float]:
        """Requests a second, latencies, and processor time of the server for each request.

        ``most`` ends the run before so many requests can have been made.
        """
        where = re.sub(r"^https?://[^/]+", "", server.root)
        listed = self._folder / "paths"
        listed.write_text("".join(f"{where}{path}\n" for path in paths), encoding="utf-8")
        env = os.environ | {"PATHS": str(listed), "TOKEN": server.token}
        duration = seconds or self._seconds
        if most:
            duration = min(duration, max(1.0, most / 900))
        argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration:.0f}s", "--latency"]
        argv += ["-s", str(self._folder / "load.lua"), server.root]
        cpu_s = server.processes.cpu_s()
        text = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
        cpu_s = server.processes.cpu_s() - cpu_s
        if "Non-2xx" in text:
            raise SystemExit(f"{server.root}\n{text}")
        found = read_wrk(text)
        return found | {"cpu ms": cpu_s * 1000 / found["requests"]}


def read_wrk(text: str) -> dict[str, float]:
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    found = {"req/s": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])}  # type: ignore[index]
    for percent in (50, 99):
        number, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
        found[f"p{percent} ms"] = float(number) * units[unit]
    found["requests"] = float(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    return found


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--fill":
        fill(Path(sys.argv[2]))
    else:
        main()
