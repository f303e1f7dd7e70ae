"""``manage.py up``: everything that one machine needs, started in order and stopped together."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from config.embedded import children, demo, version
from config.embedded.console import Refusal, say, tail
from config.embedded.datadir import DataDir, Record
from config.embedded.ports import first_free, is_free
from config.embedded.processes import MARK, identify
from config.embedded.settings_file import Services, child_environment, given, plan_services
from config.embedded.supervisor import Stopped, Supervisor, clear_leftovers
from config.env import web_threads
from config.queues import WORKERS

FIRST_PORT = 8000
READY_TIMEOUT_S = 180.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Options:
    """What the person asked for."""

    data_dir: Path
    demo: bool = False
    port: int | None = None
    viewer: bool = True


def up(options: Options, environ: Mapping[str, str]) -> int:
    """Start everything, stay until told to stop, stop everything; the exit status."""
    began = time.monotonic()
    directory = DataDir(options.data_dir)
    directory.prepare()
    directory.lock()
    _tell_about_leftovers(clear_leftovers(directory))
    version.refuse_newer(directory, children.ROOT)
    port = choose_port(options.port)
    threads = web_threads(environ)

    record = Record(mark=secrets.token_hex(16), supervisor=identify(os.getpid()))
    directory.write_record(record)
    os.environ[MARK] = record.mark
    environment = child_environment(environ, data_dir=directory.path, root=children.ROOT)
    supervisor = Supervisor(directory, record, environment)
    _listen_to_signals(supervisor)
    try:
        _start(options, supervisor, environ, port=port, threads=threads)
        record.address = f"http://127.0.0.1:{port}/"
        record.phase = "ready"
        directory.write_record(record)
        _tell_ready(options, record.address, environ, seconds=time.monotonic() - began)
        supervisor.run()
    except Stopped:
        say("Stopping …")
        status = 0
    finally:
        record.phase = "stopping"
        directory.write_record(record)
        _hurry_on_signals(supervisor)
        supervisor.stop_all()
        record.phase, record.supervisor, record.address = "stopped", None, ""
        directory.write_record(record)
    say("Everything that was started has stopped.")
    return status


def _start(
    options: Options,
    supervisor: Supervisor,
    environ: Mapping[str, str],
    *,
    port: int,
    threads: int,
) -> None:
    directory = supervisor.directory
    services = plan_services(directory, environ, demo=options.demo)
    start_services(supervisor, services)
    # Before the first process of ours: each opens its figures there as soon as they are named.
    shutil.rmtree(directory.run / "metrics", ignore_errors=True)
    (directory.run / "metrics").mkdir()
    supervisor.run_step(
        "migrate", children.manage("migrate", "--noinput"), said="Bringing the tables up to date …"
    )
    version.remember(directory, children.ROOT)
    if options.demo:
        _start_demo(supervisor, services)
    supervisor.start(children.web(port=port, threads=threads))
    for name, (queues, processes) in WORKERS.items():
        supervisor.start(children.worker(name, queues=queues, processes=processes))
    supervisor.start(children.scheduler(directory.run))
    if services.mllp_port:
        supervisor.start(children.mllp(port=services.mllp_port))
    viewer = children.viewer(directory.path) if options.viewer else None
    if viewer:
        say("Fetching the OHIF viewer in the background …")
        supervisor.start(viewer)
    _wait_ready(supervisor, port)


def start_services(supervisor: Supervisor, services: Services) -> None:
    """PostgreSQL and Redis, as far as they are ours, until they answer."""
    if services.postgres:
        if services.postgres.initialise():
            say(f"Created the database in {services.postgres.place.data}.")
        child = supervisor.start(services.postgres.spec())
        services.postgres.wait_ready(is_running=child.is_running)
    if services.redis:
        child = supervisor.start(services.redis.spec())
        services.redis.wait_ready(is_running=child.is_running)


def _start_demo(supervisor: Supervisor, services: Services) -> None:
    plan = demo.plan(supervisor.directory.path, origin_url=services.demo_origin_url)
    for name, argv, said in plan.steps:
        supervisor.run_step(name, argv, said=said)
    for spec in plan.processes:
        supervisor.start(spec)


def choose_port(wanted: int | None) -> int:
    """The port asked for, or the first free one from 8000 on.

    Raises:
        Refusal: it is taken.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise Refusal(
                f"Port {wanted} is taken by another program. Choose another with --port N."
            )
        return wanted
    port = first_free(FIRST_PORT)
    if port is None:
        raise Refusal(f"No free port from {FIRST_PORT} on. Choose one with --port N.")
    if port != FIRST_PORT:
        say(f"Port {FIRST_PORT} is taken; using {port}.")
    return port


def answers_ready(port: int) -> bool:
    """Whether ``/readyz`` says that database, Redis and object store work."""
    # No proxy: a proxy of the environment must not see, or answer for, loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_ready(supervisor: Supervisor, port: int) -> None:
    if not supervisor.wait_until(lambda: answers_ready(port), timeout_s=READY_TIMEOUT_S):
        raise Refusal(f"The web server does not become ready:\n{tail(supervisor.log_of('web'))}")


def _tell_about_leftovers(count: int) -> None:
    if count:
        say(f"The last 'up' was killed; ended {count} processes that it had left.")


def _tell_ready(
    options: Options, address: str, environ: Mapping[str, str], *, seconds: float
) -> None:
    say()
    say(f"Ready after {seconds:.1f} s: {address}")
    if options.demo:
        demo.tell_people(options.data_dir)
        say("First: log in as demo-radiologist, open 'Studies' and click a study that is archived;")
        say("then log in as demo-commission and open a hospital to watch it being pulled.")
    else:
        say("First: make an account with 'manage.py createsuperuser', then log in.")
    say(f"Data: {options.data_dir}   Logs: {options.data_dir / 'logs'}")
    stores = [
        name for name in ("DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL") if given(environ, name)
    ]
    if stores:
        say(f"Services of the environment, not of this command: {', '.join(stores)}")
    say("Ctrl-C stops everything that was started here.")


def _listen_to_signals(supervisor: Supervisor) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    for number in SIGNALS:
        signal.signal(number, stop)


def _hurry_on_signals(supervisor: Supervisor) -> None:
    def hurry(number: int, frame: FrameType | None) -> None:
        supervisor.hurry = True

    for number in SIGNALS:
        signal.signal(number, hurry)


def running_address(directory: DataDir) -> str | None:
    """The address of an `up` that is already running and ready on this directory."""
    record = directory.record()
    return record.address if record.phase == "ready" and directory.is_supervised() else None
