"""The command lines of ``manage.py up`` and ``manage.py down``; they run before, and without, Django."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.embedded.children import manage
from config.embedded.console import Refusal, say, tail
from config.embedded.datadir import DataDir
from config.embedded.processes import Step, stop
from config.embedded.supervisor import clear_leftovers
from config.embedded.up import READY_TIMEOUT_S, Options, running_address, up

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = ("up", "down")
DETACH_TIMEOUT_S = READY_TIMEOUT_S + 300  # the first start of a demo makes its pictures


def main(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run ``up …`` or ``down …``; the exit status."""
    parser = argparse.ArgumentParser(prog="manage.py")
    commands = parser.add_subparsers(dest="command", required=True)
    add_up_arguments(commands.add_parser("up", help=UP_HELP, description=UP_HELP))
    add_down_arguments(commands.add_parser("down", help=DOWN_HELP, description=DOWN_HELP))
    options = parser.parse_args(words)
    data_dir = _data_dir(options.data, environ)
    try:
        if options.command == "down":
            return down(data_dir)
        directory = DataDir(data_dir)
        address = running_address(directory)
        if address:
            say(f"Already running: {address} (stop it with: {stop_words(data_dir)})")
            return 0
        if options.detach:
            return detach(directory, words)
        wanted = Options(data_dir, options.demo, options.port, viewer=not options.no_viewer)
        return up(wanted, environ)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    except PermissionError as error:
        sys.stderr.write(f"{data_dir} belongs to somebody else: {error}. Choose with --data DIR.\n")
        return 1


UP_HELP = "Start PostgreSQL, Redis, workers, scheduler and web server of one machine, and stay."
DOWN_HELP = "Stop what 'up' started, a detached or a killed one included."


def add_up_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--demo", action="store_true", help="with a demo province and its people")
    parser.add_argument("--port", type=_port, help="web server's port (default: from 8000 on)")
    parser.add_argument("--detach", action="store_true", help="return when everything is ready")
    parser.add_argument("--no-viewer", action="store_true", help="do not fetch the OHIF viewer")
    add_down_arguments(parser)


def add_down_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, help="data directory (default: IMAGING_DATA_DIR, var/)"
    )


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("a port is between 1 and 65535")
    return number


def _data_dir(chosen: Path | None, environ: Mapping[str, str]) -> Path:
    path = chosen or Path(environ.get("IMAGING_DATA_DIR") or ROOT / "var")
    return path.expanduser().absolute()


def detach(directory: DataDir, words: Sequence[str]) -> int:
    """Start `up` in the background; return when ``/readyz`` answers, with the address."""
    directory.prepare()
    log = directory.logs / "up.log"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)  # it repeats the demo's log-ins, as the terminal would show them
    with log.open("ab") as output:
        process = subprocess.Popen(
            manage(*(word for word in words if word != "--detach")),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACH_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        address = running_address(directory)
        if address and directory.record().supervisor_pid == process.pid:
            say(log.read_text(encoding="utf-8").rstrip().removesuffix(LAST_WORDS).rstrip())
            say(
                f"Running in the background at {address} ; stop it with: {stop_words(directory.path)}"
            )
            return 0
        time.sleep(0.1)
    raise Refusal(f"It did not become ready:\n{tail(log)}")


def stop_words(data_dir: Path) -> str:
    """What to type to stop the installation of this directory."""
    return "manage.py down" if data_dir == ROOT / "var" else f"manage.py down --data {data_dir}"


LAST_WORDS = "Ctrl-C stops everything that was started here."


def down(data_dir: Path) -> int:
    """Stop a running `up`, or what a killed one left; stopping twice is fine."""
    directory = DataDir(data_dir)
    if not directory.run.is_dir():
        say(f"Nothing has ever run in {data_dir}.")
        return 0
    record = directory.record()
    if record.supervisor and directory.is_supervised():
        stop(record.supervisor, (Step(signal.SIGTERM, 90),))
    if directory.is_locked():
        raise Refusal(f"An 'up' on {data_dir} is just starting; try again.")
    left = clear_leftovers(directory)
    record.phase, record.supervisor, record.address = "stopped", None, ""
    record.processes.clear()
    directory.write_record(record)
    say(f"Stopped{f', {left} left-over processes included' if left else ''}.")
    return 0
