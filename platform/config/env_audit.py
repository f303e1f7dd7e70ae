"""Settings of the audit trail: how it names itself to others, where it is sent, what a review looks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}  # RFC 5426, 6587, 5425


@dataclass(frozen=True)
class SyslogTarget:
    """An audit record repository (IHE ATNA)."""

    transport: str
    host: str
    port: int


@dataclass(frozen=True)
class Unusual:
    """From when on an access is put on the list for review."""

    patients: int
    minutes: int
    odd_hours: tuple[int, int] | None
    names_left_out: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """What the trail is told at start."""

    source_id: str
    site_id: str
    syslog: SyslogTarget | None
    unusual: Unusual


def _syslog(value: str) -> SyslogTarget:
    parts = urlsplit(value)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise ValueError("not a syslog address")
    return SyslogTarget(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])


def _hours(value: str) -> tuple[int, int]:
    first, _, last = value.partition("-")
    hours = int(first), int(last)
    if not all(0 <= hour <= 24 for hour in hours) or hours[0] == hours[1]:
        raise ValueError("not two hours of a day")
    return hours


def _whole(value: str) -> int:
    number = int(value)
    if number < 2:
        raise ValueError("less than 2")
    return number


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def read_audit(get: Callable[..., Any], faults: list[str]) -> dict[str, object]:
    """What ``read_environment`` takes over; ``get`` and ``faults`` are those of its reader."""
    before = len(faults)
    target = get("AUDIT_SYSLOG", _syslog, False, expected="udp://HOST, tcp://HOST:PORT or tls://…")
    hours = get("UNUSUAL_HOURS", _hours, False, expected="hours as FIRST-LAST, such as 22-5")
    unusual = Unusual(
        patients=get("UNUSUAL_PATIENTS", _whole, 60, expected="how many patients"),
        minutes=get("UNUSUAL_MINUTES", _whole, 30, expected="within how many minutes"),
        odd_hours=hours or None,
        names_left_out=get("UNUSUAL_NAMES_LEFT_OUT", _names, (), expected="family names, by comma"),
    )
    if len(faults) > before:
        return {}
    return {
        "audit": Audit(
            source_id=get("AUDIT_SOURCE_ID", str, "imaging-cloud", expected="a name"),
            site_id=get("AUDIT_SITE_ID", str, "province", expected="a name"),
            syslog=target or None,
            unusual=unusual,
        )
    }
