"""Who is connected, how well: the newest probe and the last success and error of each endpoint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from hospitals.domain.abilities import Abilities
from hospitals.domain.circuit import is_open
from hospitals.errors import InstitutionUnknown
from hospitals.models import Endpoint, Institution, Probe
from hospitals.permissions import visible_institutions


@dataclass(frozen=True)
class ProbeView:
    """One probe as it is shown."""

    at: dt.datetime
    reachable: bool
    abilities: Abilities
    error_code: str
    error_text: str
    duration_ms: int


@dataclass(frozen=True)
class HealthRow:
    """One institution with the state of its connection; no secret, no patient data."""

    institution_id: int
    code: str
    name: str
    level: str
    level_label: str
    institution_kind: str
    institution_kind_label: str
    region_code: str
    region_name: str
    consortium_code: str
    consortium_name: str
    state: str
    state_label: str
    state_reason: str
    endpoint_kind: str  # empty: no endpoint yet
    address: str
    auth: str
    concurrency: int | None
    bandwidth_bytes_per_s: int | None
    quiet_from: dt.time | None
    quiet_until: dt.time | None
    character_set: str
    failures: int
    open_until: dt.datetime | None
    circuit_open: bool
    last_success_at: dt.datetime | None
    last_error_code: str
    last_error_text: str
    last_error_at: dt.datetime | None
    probe: ProbeView | None


def newest_probes(
    endpoint_ids: Collection[int], *, only_reachable: bool = False
) -> dict[int, Probe]:
    """The newest probe of each endpoint, by endpoint id; one query. With ``only_reachable`` the
    newest that reached it: an outage does not forget what the origin can do."""
    rows = Probe.objects.filter(endpoint_id__in=endpoint_ids)
    if only_reachable:
        rows = rows.filter(reachable=True)
    newest = rows.order_by("endpoint_id", "-at", "-pk").distinct("endpoint_id")
    return {probe.endpoint_id: probe for probe in newest}


def health_overview(*, actor: Any, code: str = "") -> list[HealthRow]:
    """Every institution the actor may see with the state of its connection, by code. Three queries
    at most, whatever the number."""
    rows = visible_institutions(actor).select_related("region", "consortium", "endpoint")
    if code:
        rows = rows.filter(code=code)
    institutions = list(rows.order_by("code"))
    endpoints = [row.endpoint.pk for row in institutions if hasattr(row, "endpoint")]
    probes = newest_probes(endpoints)
    now = timezone.now()
    return [_row(institution, probes, now) for institution in institutions]


def get_health(*, actor: Any, code: str) -> HealthRow:
    """One institution's row of ``health_overview``.

    Raises:
        InstitutionUnknown: none, or not for this actor.
    """
    rows = health_overview(actor=actor, code=code)
    if not rows:
        raise InstitutionUnknown(_("There is no institution %(code)s.") % {"code": code})
    return rows[0]


def _row(institution: Institution, probes: Mapping[int, Probe], now: dt.datetime) -> HealthRow:
    endpoint: Endpoint | None = getattr(institution, "endpoint", None)
    probe = probes.get(endpoint.pk) if endpoint else None
    consortium = institution.consortium
    return HealthRow(
        institution_id=institution.pk,
        code=institution.code,
        name=institution.name,
        level=institution.level,
        level_label=institution.get_level_display(),
        institution_kind=institution.kind,
        institution_kind_label=institution.get_kind_display(),
        region_code=institution.region.code,
        region_name=institution.region.name,
        consortium_code=consortium.code if consortium else "",
        consortium_name=consortium.name if consortium else "",
        state=institution.state,
        state_label=institution.get_state_display(),
        state_reason=institution.state_reason,
        endpoint_kind=endpoint.kind if endpoint else "",
        address=str(endpoint) if endpoint else "",
        auth=endpoint.auth if endpoint else "",
        concurrency=endpoint.concurrency if endpoint else None,
        bandwidth_bytes_per_s=endpoint.bandwidth_bytes_per_s if endpoint else None,
        quiet_from=endpoint.quiet_from if endpoint else None,
        quiet_until=endpoint.quiet_until if endpoint else None,
        character_set=endpoint.character_set if endpoint else "",
        failures=endpoint.failures if endpoint else 0,
        open_until=endpoint.open_until if endpoint else None,
        circuit_open=endpoint is not None and is_open(open_until=endpoint.open_until, now=now),
        last_success_at=endpoint.last_success_at if endpoint else None,
        last_error_code=endpoint.last_error_code if endpoint else "",
        last_error_text=endpoint.last_error_text if endpoint else "",
        last_error_at=endpoint.last_error_at if endpoint else None,
        probe=probe_view(probe) if probe else None,
    )


def probe_view(probe: Probe) -> ProbeView:
    """A stored probe as it is shown."""
    return ProbeView(
        at=probe.at,
        reachable=probe.reachable,
        abilities=Abilities.from_json(probe.abilities),
        error_code=probe.error_code,
        error_text=probe.error_text,
        duration_ms=probe.duration_ms,
    )


def list_probes(*, institution_id: int, newest: int = 20) -> list[Probe]:
    """The newest probes of an institution's endpoint, newest first."""
    rows = Probe.objects.filter(endpoint__institution_id=institution_id)
    return list(rows.order_by("-at", "-pk")[:newest])


def probes_by_month(*, institution_id: int, since: dt.datetime) -> list[dict[str, Any]]:
    """What the probes that are still kept (the newest hundred) say of each month: how many, how many reached
    the archive, and how long the whole probe took on average."""
    rows = Probe.objects.filter(endpoint__institution_id=institution_id, at__gte=since)
    found: dict[dt.date, list[Probe]] = {}
    for probe in rows.order_by("at"):
        found.setdefault(timezone.localtime(probe.at).date().replace(day=1), []).append(probe)
    return [
        {
            "month": month,
            "probes": len(probes),
            "reached": sum(probe.reachable for probe in probes),
            "answer_ms": _mean_latency(probes),
        }
        for month, probes in found.items()
    ]


def _mean_latency(probes: Collection[Probe]) -> float | None:
    """The mean time of one answer over all questions of these probes."""
    times = [ms for probe in probes for ms in (probe.abilities.get("latency_ms") or {}).values()]
    return sum(times) / len(times) if times else None
