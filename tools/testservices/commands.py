"""``tools/services up|down|env|status``."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path

from config.embedded.console import Refusal, say
from config.embedded.datadir import DataDir, Record, new_secret
from config.embedded.processes import MARK, is_running
from config.embedded.settings_file import given
from config.embedded.supervisor import Supervisor, clear_leftovers
from tools.testservices import npm_packages, oidc_provider, programs, servers

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "test-services"


def run(command: str, *, quiet: bool) -> int:
    """The exit status of one command."""
    directory = DataDir(HOME)
    try:
        return {"up": up, "down": down, "env": env, "status": status}[command](directory, quiet)
    except Refusal as refusal:
        sys.stderr.write(f"tools/services: {refusal}\n")
        return 1


def up(directory: DataDir, quiet: bool) -> int:
    directory.prepare()
    directory.lock()
    if directory.record().phase == "ready" and not stopped(directory):
        say("Test services are already running.")
        return 0
    clear_leftovers(directory)
    found = programs.ensure_packages() | {"minio": programs.find_minio(os.environ)}
    found["axe"] = npm_packages.find_axe(os.environ)  # npm itself may have come just now
    found["oidc"] = oidc_provider.find_provider(os.environ)
    record = Record(mark=secrets.token_hex(16))
    directory.write_record(record)
    os.environ[MARK] = record.mark
    settings = start(Supervisor(directory, record, os.environ), found)
    settings |= {
        f"MISSING_{name.upper()}": program.reason
        for name, program in found.items()
        if program.reason
    }
    directory.write_settings({**directory.settings(), **settings})
    record.phase = "ready"
    directory.write_record(record)
    return tell(found)


def start(supervisor: Supervisor, found: dict[str, programs.Found]) -> dict[str, str]:
    """Start the servers; the settings that point to them."""
    home = supervisor.directory.path
    settings = {
        "SECRET_KEY": new_secret(),
        "FIELD_KEYS": new_secret(),
        "LOOKUP_KEY": new_secret(),
        "IMAGING_DATA_DIR": str(home / "data"),
        "OBJECT_STORE_URL": (home / "data" / "objects").as_uri(),
        "ALLOW_LOOPBACK_HOSPITALS": "1",
        "LOG_FORMAT": "console",
    }
    starters = {"DATABASE_URL": servers.start_postgres, "REDIS_URL": servers.start_redis}
    for name, starter in starters.items():
        if given(os.environ, name):
            say(f"{name}: that of the environment")
            continue
        began = time.monotonic()
        settings[name] = starter(supervisor)
        say(f"{name}: started in {time.monotonic() - began:.1f} s")
    minio = found["minio"].path
    if minio and not given(os.environ, "TEST_MINIO_URL"):
        settings["TEST_MINIO_URL"] = servers.start_minio(supervisor, minio)
        say(f"MinIO: started, from {minio}")
    variables = {
        "MINIO_BIN": "minio",
        "ORTHANC_BIN": "orthanc",
        "CHROMIUM_BIN": "chromium",
        "AXE_JS": "axe",
        "OIDC_PROVIDER_DIR": "oidc",
    }
    for variable, name in variables.items():
        if found[name].path:
            settings[variable] = str(found[name].path)
    if found["orthanc"].path:
        settings["ORTHANC_DICOMWEB"] = str(programs.find_plugin())
    return settings


def tell(found: dict[str, programs.Found]) -> int:
    missing = {name: program.reason for name, program in found.items() if program.path is None}
    for name, reason in missing.items():
        say(f"MISSING {name}: {reason}")
    if missing and os.environ.get("CI") == "true":
        sys.stderr.write("tools/services: with CI=true everything must be there\n")
        return 1
    return 0


def stopped(directory: DataDir) -> list[str]:
    record = directory.record()
    return [name for name, process in record.processes.items() if not is_running(process)]


def down(directory: DataDir, quiet: bool) -> int:
    if not directory.run.is_dir():
        return 0
    directory.lock()
    count = clear_leftovers(directory)
    directory.write_record(Record(phase="stopped"))
    if not quiet:
        say(f"Test services: stopped {count} processes.")
    return 0


def env(directory: DataDir, quiet: bool) -> int:
    """What the environment itself sets is not printed, so that it stays."""
    for name, value in sorted(directory.settings().items()):
        if not given(os.environ, name) and name != "POSTGRES_PASSWORD":
            say(f"{name}={value}")
    return 0


def status(directory: DataDir, quiet: bool) -> int:
    record = directory.record()
    for name, process in record.processes.items():
        say(f"{name}: {'running' if is_running(process) else 'stopped'} (process {process.pid})")
    if not record.processes:
        say("Nothing runs.")
    return 0
