"""The environment, read once into frozen dataclasses.

Every variable may be given as ``NAME`` or as ``NAME_FILE`` (a path whose content is the value), as suits
secrets; but ``IMAGING_DATA_DIR``, where further settings are looked for, only as ``NAME``.
All missing and malformed variables are reported together, by name, before anything starts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from config.env_audit import Audit, read_audit
from config.env_people import Mail, Provider, read_people

T = TypeVar("T")

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadEnvironment(SystemExit):
    """One or more settings are missing or malformed; the text names each and says what is expected."""


@dataclass(frozen=True)
class DatabaseURL:
    """``postgres://USER:PASSWORD@HOST:PORT/NAME``."""

    host: str
    port: int
    user: str
    password: str
    name: str


@dataclass(frozen=True)
class Environment:
    """What the process was told, checked."""

    debug: bool
    demo: bool
    secret_key: str
    field_keys: tuple[str, ...]
    lookup_key: str
    allowed_hosts: tuple[str, ...]
    trusted_origins: tuple[str, ...]
    behind_tls: bool
    trusted_proxies: tuple[IPNetwork, ...]
    cors_allowed_origins: tuple[str, ...]
    database: DatabaseURL
    redis_url: str
    object_store_url: str
    data_dir: Path
    log_format: str
    log_level: str
    hospital_networks: tuple[IPNetwork, ...]
    hospital_folders: tuple[Path, ...]
    allow_loopback_hospitals: bool
    cache_bytes: int
    decoder_processes: int
    decoder_memory_mb: int
    decoder_time_s: int
    web_threads: int
    pull_places: int
    pull_lease_s: int
    store_max_bytes: int
    deletion_grace_h: int
    on_demand_wait_s: int
    on_demand_readers: int
    on_demand_pulls: int
    federated_deadline_s: int
    federated_connections: int
    mllp_port: int
    mllp_host: str
    mllp_tls_certificate: str
    mllp_tls_key: str
    mllp_tls_client_ca: str
    mllp_max_bytes: int
    mllp_connections: int
    audit: Audit
    password_max_days: int
    mail: Mail
    mail_from: str
    patient_notifier: str
    oidc: Provider | None


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[str] = []

    def raw(self, name: str) -> str | None:
        if name in self.environ:
            return self.environ[name]
        path = self.environ.get(f"{name}_FILE")
        if path is None:
            return None
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.faults.append(f"{name}_FILE: cannot be read: {error}")
            return None

    def get(
        self, name: str, parse: Callable[[str], T], default: T | None = None, *, expected: str
    ) -> T | None:
        value = self.raw(name)
        if value is None or value == "":
            unread = any(fault.startswith(f"{name}_FILE:") for fault in self.faults)
            if default is None and not unread:
                self.faults.append(f"{name}: missing; expected {expected}")
            return default
        try:
            return parse(value)
        except ValueError as error:
            # Only the complaint: a secret must not be echoed.
            self.faults.append(f"{name}: {error}; expected {expected}")
            return default


def _flag(value: str) -> bool:
    lowered = value.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError("not a yes or no")


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _origins(value: str) -> tuple[str, ...]:
    origins = _words(value)
    for origin in origins:
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}"
        if origin != "*" and (parts.scheme not in {"http", "https"} or origin != whole):
            raise ValueError("not an origin")
    return origins


def _positive(value: str) -> int:
    number = int(value)
    if number <= 0:
        raise ValueError("not a positive number")
    return number


def _port(value: str) -> int:
    number = int(value)
    if not 0 <= number <= 65_535:
        raise ValueError("not a port")
    return number


def _file(value: str) -> str:
    if not Path(value).is_file():
        raise ValueError("no such file")
    return value


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"not one of {', '.join(allowed)}")
        return value

    return parse


def _secret(minimum: int) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if len(value) < minimum:
            raise ValueError(f"shorter than {minimum} characters")
        return value

    return parse


def _keys(minimum: int) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        keys = _words(value)
        if not keys:
            raise ValueError("no key")
        for number, key in enumerate(keys, start=1):
            if len(key) < minimum:
                raise ValueError(f"key {number} is shorter than {minimum} characters")
        return keys

    return parse


def _networks(value: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(word) for word in _words(value))


def _folders(value: str) -> tuple[Path, ...]:
    paths = tuple(Path(word) for word in _words(value))
    if not all(path.is_absolute() for path in paths):
        raise ValueError("not an absolute path")
    return paths


def parse_database_url(value: str) -> DatabaseURL:
    """Read ``postgres://USER:PASSWORD@HOST:PORT/NAME``.

    Raises:
        ValueError: another scheme, or no host or name.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("not a postgres:// address")
    query = parse_qs(parts.query)
    host = parts.hostname or query.get("host", [""])[0]
    name = unquote(parts.path.lstrip("/"))
    if not host or not name:
        raise ValueError("host or database name is missing")
    return DatabaseURL(
        host=host,
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        name=name,
    )


def _redis_url(value: str) -> str:
    if urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("not a redis:// address")
    return value


def _object_store_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "file" and parts.path.startswith("/"):
        return value
    bucket = parts.path.strip("/")
    if parts.scheme == "minio" and parts.hostname and parts.username and parts.password and bucket:
        return value
    raise ValueError("not an object store address")


def read_environment(environ: Mapping[str, str], *, root: Path) -> Environment:
    """Check and collect the settings.

    Where a service's address is not given, the embedded services that ``manage.py up`` keeps under
    ``IMAGING_DATA_DIR`` are used, through the ``env`` file that it writes there.

    Raises:
        BadEnvironment: naming every missing or malformed variable at once.
    """
    data_dir = Path(environ.get("IMAGING_DATA_DIR") or root / "var").expanduser().absolute()
    merged = {**read_env_file(data_dir / "env"), **environ}
    reader = _Reader(merged)
    get = reader.get
    values: dict[str, object] = {
        "debug": get("DEBUG", _flag, False, expected="0 or 1"),
        "demo": get("IMAGING_DEMO", _flag, False, expected="0 or 1"),
        "secret_key": get("SECRET_KEY", _secret(32), expected="at least 32 random characters"),
        "field_keys": get(
            "FIELD_KEYS",
            _keys(32),
            expected="keys of at least 32 random characters each, by comma, newest first",
        ),
        "lookup_key": get("LOOKUP_KEY", _secret(32), expected="at least 32 random characters"),
        "allowed_hosts": get(
            "ALLOWED_HOSTS", _words, ("localhost", "127.0.0.1"), expected="host names, by comma"
        ),
        "trusted_origins": get("TRUSTED_ORIGINS", _words, (), expected="origins, by comma"),
        "behind_tls": get("BEHIND_TLS", _flag, False, expected="0 or 1"),
        "trusted_proxies": get(
            "TRUSTED_PROXIES",
            _networks,
            _networks("127.0.0.0/8,::1/128"),
            expected="networks in CIDR form of the proxies that are believed, by comma",
        ),
        "cors_allowed_origins": get(
            "CORS_ALLOWED_ORIGINS",
            _origins,
            (),
            expected="origins such as https://viewer.example.org, by comma, or *",
        ),
        "database": get(
            "DATABASE_URL", parse_database_url, expected="postgres://USER:PASSWORD@HOST:PORT/NAME"
        ),
        "redis_url": get("REDIS_URL", _redis_url, expected="redis://HOST:PORT/NUMBER"),
        "object_store_url": get(
            "OBJECT_STORE_URL",
            _object_store_url,
            expected="minio://KEY:SECRET@HOST:PORT/BUCKET?secure=0 or file:///DIR",
        ),
        "patient_notifier": get(
            "PATIENT_NOTIFIER",
            _one_of("console", "recorded"),
            "recorded",
            expected="console, recorded",
        ),
        "log_format": get(
            "LOG_FORMAT", _one_of("json", "console"), "json", expected="json, console"
        ),
        "log_level": get(
            "LOG_LEVEL",
            _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
            "INFO",
            expected="a log level",
        ),
        "hospital_networks": get(
            "HOSPITAL_NETWORKS",
            _networks,
            _networks("0.0.0.0/0,::/0"),
            expected="networks in CIDR form that hospitals may be reached in, by comma",
        ),
        "hospital_folders": get(
            "HOSPITAL_FOLDERS",
            _folders,
            (),
            expected="directories that folder hospitals may lie in, absolute, by comma",
        ),
        "allow_loopback_hospitals": get(
            "ALLOW_LOOPBACK_HOSPITALS", _flag, False, expected="0 or 1"
        ),
        "cache_bytes": get("PACK_CACHE_BYTES", _positive, 4 * 2**30, expected="a number of bytes"),
        "decoder_processes": get(
            "DECODER_PROCESSES",
            _positive,
            2,
            expected="how many frames one process decodes or encodes at once",
        ),
        "decoder_memory_mb": get(
            "DECODER_MEMORY_MB", _positive, 1024, expected="MiB that decoding a frame may take"
        ),
        "decoder_time_s": get(
            "DECODER_TIME_S", _positive, 20, expected="seconds that decoding a frame may take"
        ),
        "pull_places": get(
            "PULL_PLACES", _positive, 8, expected="how many series all workers pull at once"
        ),
        "pull_lease_s": get(
            "PULL_LEASE_S",
            _positive,
            60,
            expected="seconds after which a silent worker is given up",
        ),
        "on_demand_wait_s": get(
            "ON_DEMAND_WAIT_S",
            _positive,
            20,
            expected="seconds that a reader waits for a hospital to begin",
        ),
        "on_demand_readers": get(
            "ON_DEMAND_READERS",
            _positive,
            8,
            expected="how many readers of one web process wait for hospitals at once",
        ),
        "on_demand_pulls": get(
            "ON_DEMAND_PULLS",
            _positive,
            4,
            expected="how many series one web process pulls at once for its readers",
        ),
        "federated_deadline_s": get(
            "FEDERATED_DEADLINE_S",
            _positive,
            8,
            expected="seconds that hospitals have to answer a federated query",
        ),
        "federated_connections": get(
            "FEDERATED_CONNECTIONS",
            _positive,
            16,
            expected="how many hospitals one web process asks at once",
        ),
        "store_max_bytes": get(
            "STORE_MAX_BYTES",
            _positive,
            8 * 2**30,
            expected="the largest store request, in bytes",
        ),
        "deletion_grace_h": get(
            "DELETION_GRACE_H",
            _positive,
            30 * 24,
            expected="hours after which a deleted study is purged",
        ),
        "mllp_port": get("MLLP_PORT", _port, 0, expected="a port, or 0 for no listener"),
        "mllp_host": get("MLLP_HOST", str, "127.0.0.1", expected="an address of this machine"),
        "mllp_tls_certificate": get("MLLP_TLS_CERTIFICATE", _file, "", expected="a PEM file"),
        "mllp_tls_key": get("MLLP_TLS_KEY", _file, "", expected="a PEM file"),
        "mllp_tls_client_ca": get("MLLP_TLS_CLIENT_CA", _file, "", expected="a PEM file"),
        "mllp_max_bytes": get(
            "MLLP_MAX_BYTES", _positive, 4 * 2**20, expected="the longest HL7 message, in bytes"
        ),
        "mllp_connections": get(
            "MLLP_CONNECTIONS", _positive, 64, expected="how many HL7 senders are connected at once"
        ),
        "web_threads": _web_threads(reader),
        **read_audit(get, reader.faults),
        **read_people(get, reader.faults),
    }
    if reader.faults:
        raise BadEnvironment(
            "The settings are not usable:\n  - "
            + "\n  - ".join(reader.faults)
            + "\nSet them in the environment (each but IMAGING_DATA_DIR also as NAME_FILE), "
            + "or run 'manage.py up' for embedded services."
        )
    return Environment(data_dir=data_dir, **values)  # type: ignore[arg-type]  # no faults: none is None


def web_threads(environ: Mapping[str, str]) -> int:
    """``WEB_THREADS`` alone, for ``up``, which starts before the other settings are there.

    Raises:
        BadEnvironment: it cannot be read, or is no positive number.
    """
    reader = _Reader(environ)
    threads = _web_threads(reader)
    if reader.faults or threads is None:
        raise BadEnvironment("The settings are not usable:\n  - " + "\n  - ".join(reader.faults))
    return threads


def _web_threads(reader: _Reader) -> int | None:
    get = reader.get
    return get("WEB_THREADS", _positive, 16, expected="a number of threads")


def read_env_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines of a file that ``manage.py up`` wrote; empty when there is none."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}
