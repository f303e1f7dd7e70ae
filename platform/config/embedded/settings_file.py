"""The settings that `up` makes for an installation without any: secrets once, addresses at each start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded.datadir import DataDir, new_secret
from config.embedded.ports import keep_or_any
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis

SECRETS = ("SECRET_KEY", "FIELD_KEYS", "LOOKUP_KEY")
MLLP_PORT = "MLLP_PORT"
DEMO_ORIGIN = "DEMO_ORIGIN_URL"  # kept so that the hospital has the same address at the next start


@dataclass(frozen=True)
class Services:
    """What `up` has to start; None where the environment names a service of its own."""

    postgres: Postgres | None
    redis: Redis | None
    demo_origin_url: str
    mllp_port: int = 0  # 0: no listener for HL7 messages


def given(environ: Mapping[str, str], name: str) -> bool:
    """Whether the environment itself sets this, as ``NAME`` or as ``NAME_FILE``."""
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))


def plan_services(directory: DataDir, environ: Mapping[str, str], *, demo: bool) -> Services:
    """Decide addresses and secrets and write the ``env`` file.

    What the environment sets is left out of the file: it would outlive its owner's intention there.
    Passwords and keys stay the same from start to start, and ports too while they are free.
    """
    old = directory.settings()
    new = {name: old.get(name) or new_secret() for name in SECRETS}
    postgres = redis = None
    if not given(environ, "DATABASE_URL"):
        port, password = _old_address(old, "DATABASE_URL")
        postgres = Postgres(directory.path, port=keep_or_any(port), password=password)
        new["DATABASE_URL"] = postgres.url
    if not given(environ, "REDIS_URL"):
        port, password = _old_address(old, "REDIS_URL")
        redis = Redis(directory.path, port=keep_or_any(port), password=password)
        new["REDIS_URL"] = redis.url
    new["OBJECT_STORE_URL"] = (directory.path / "objects").as_uri()
    origin_url = ""
    if demo:
        origin_url = f"http://127.0.0.1:{keep_or_any(urlsplit(old.get(DEMO_ORIGIN, '')).port)}"
        kept = old.get(MLLP_PORT, "")
        new[MLLP_PORT] = str(keep_or_any(int(kept) if kept.isdigit() else None))
        new |= {"IMAGING_DEMO": "1", "ALLOW_LOOPBACK_HOSPITALS": "1", DEMO_ORIGIN: origin_url}
    directory.write_settings(
        {name: value for name, value in new.items() if not given(environ, name)}
    )
    mllp = environ.get(MLLP_PORT) or new.get(MLLP_PORT, "0")
    return Services(postgres, redis, origin_url, int(mllp) if mllp.isdigit() else 0)


def _old_address(settings: Mapping[str, str], name: str) -> tuple[int | None, str]:
    parts = urlsplit(settings.get(name, ""))
    return parts.port, parts.password or new_secret()


def child_environment(environ: Mapping[str, str], *, data_dir: Path, root: Path) -> dict[str, str]:
    """The environment of every child: the caller's, with the source roots and the data directory."""
    metrics = data_dir / "run" / "metrics"
    return {
        # Each of many threads would get a heap of its own and keep what its largest answer took.
        "MALLOC_ARENA_MAX": "2",
        **{name: value for name, value in environ.items() if value != ""},
        "IMAGING_DATA_DIR": str(data_dir),
        "PYTHONPATH": f"{root / 'platform'}:{root}",
        "PYTHONUNBUFFERED": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
