"""The processes of one installation: web server, workers by lane, scheduler, and what the demo adds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from config.embedded.processes import Step
from config.embedded.specs import ChildSpec

ROOT = Path(__file__).resolve().parents[3]

MEMORY = "/dev/shm"  # noqa: S108  # gunicorn opens an unnamed file there

# A worker first lets its tasks end, then gives them back; a lease brings back what was cut off.
STOP_WORKER = (Step(signal.SIGTERM, 8), Step(signal.SIGQUIT, 4))


def manage(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *words]


def web(*, port: int, threads: int, host: str = "127.0.0.1") -> ChildSpec:
    """gunicorn with threads: measured cheapest per byte for streams (DESIGN section 5)."""
    argv = [
        sys.executable, "-m", "gunicorn", "config.wsgi:application",
        "--config", "python:config.embedded.gunicorn",
        "--worker-class", "config.lingering.LingeringWorker", "--workers", "2", "--threads", str(threads),
        "--bind", f"{host}:{port}", "--timeout", "120", "--graceful-timeout", "10",
        "--no-control-socket",
    ]  # fmt: skip
    if os.access(MEMORY, os.W_OK):
        argv += ["--worker-tmp-dir", MEMORY]  # the heartbeat file must not wait for a slow disk
    return ChildSpec(name="web", argv=argv, cwd=ROOT, stop=(Step(signal.SIGTERM, 12),))


def worker(name: str, *, queues: tuple[str, ...], processes: int) -> ChildSpec:
    argv = [
        sys.executable, "-m", "celery", "-A", "config", "worker",
        "--queues", ",".join(queues), "--concurrency", str(processes),
        "--hostname", f"{name}@localhost", "--loglevel", "INFO",
        "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    return ChildSpec(name=name, argv=argv, cwd=ROOT, stop=STOP_WORKER)


def scheduler(run: Path) -> ChildSpec:
    argv = [
        sys.executable, "-m", "celery", "-A", "config", "beat",
        "--schedule", str(run / "beat"), "--pidfile=", "--loglevel", "INFO",
    ]  # fmt: skip
    return ChildSpec(name="scheduler", argv=argv, cwd=ROOT)


def mllp(*, port: int) -> ChildSpec:
    """The listener for HL7 messages; it answers what it has in hand before it ends."""
    return ChildSpec(
        name="mllp",
        argv=manage("mllp", "--port", str(port)),
        cwd=ROOT,
        stop=(Step(signal.SIGTERM, 12),),
    )


def viewer(data_dir: Path) -> ChildSpec | None:
    """Fetches OHIF, in the background; None when this build of it is there or cannot be had without npm."""
    argv = [sys.executable, str(ROOT / "tools" / "ohif.py"), str(data_dir)]
    if (
        shutil.which("npm") is None
        or not subprocess.run([*argv, "--check"], check=False).returncode
    ):
        return None
    return ChildSpec(name="viewer", argv=argv, cwd=ROOT, restart=False)
