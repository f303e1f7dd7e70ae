"""Probing an endpoint: asked, measured, stored."""

from __future__ import annotations

import time
from dataclasses import replace

from django.db import transaction

from common import audit
from common.dicomweb.client import DicomwebOrigin
from common.dicomweb.errors import OriginError
from hospitals import permissions
from hospitals.domain.abilities import Abilities
from hospitals.errors import EndpointMissing, StateConflict
from hospitals.models import Endpoint, Institution, Probe
from hospitals.permissions import Actor
from hospitals.services.circuits import record_origin_failure, record_origin_success
from hospitals.services.measuring import Measurement
from hospitals.services.measuring_folder import measure_folder
from hospitals.services.origins import credentials_in_clear, folder_origin, origin_config

# A person waits for a probe: an origin slower than this is told so, whatever the puller would bear.
LONGEST_WAIT_S = 20.0
KEPT_PROBES = 100


def probe(*, actor: Actor, institution: Institution) -> Probe:
    """Measure what an institution's archive can do, store it, and answer it. Takes seconds, at most
    some two minutes; not inside a transaction. A failure is a stored result too, in words.

    Raises:
        NotPermitted: the actor may not have it probed.
        EndpointMissing: it has no endpoint.
        StateConflict: it has left.
    """
    permissions.require(permissions.may_probe(actor, institution_id=institution.pk))
    endpoint = (
        Endpoint.objects.select_related("institution").filter(institution=institution).first()
    )
    if endpoint is None:
        raise EndpointMissing
    if endpoint.institution.state == Institution.State.LEFT:
        raise StateConflict
    start = time.monotonic()
    try:
        abilities, error = _measure(endpoint), None
    except OriginError as failure:
        abilities, error = Abilities(), failure
    duration_ms = round(1000 * (time.monotonic() - start))
    abilities = replace(abilities, credentials_in_clear=credentials_in_clear(endpoint))
    return _store(actor, endpoint, abilities, error, duration_ms)


def _measure(endpoint: Endpoint) -> Abilities:
    if endpoint.kind == Endpoint.Kind.FOLDER:
        return measure_folder(folder_origin(endpoint))
    config = origin_config(endpoint)
    origin = DicomwebOrigin(
        replace(
            config,
            connect_timeout_s=min(config.connect_timeout_s, LONGEST_WAIT_S),
            read_timeout_s=min(config.read_timeout_s, LONGEST_WAIT_S),
            # Measured anew, not taken from the last probe.
            accept_any_syntax=True,
            send_includefield=True,
        )
    )
    try:
        return Measurement(origin).run()
    finally:
        origin.close()


@transaction.atomic
def _store(
    actor: Actor,
    endpoint: Endpoint,
    abilities: Abilities,
    error: OriginError | None,
    duration_ms: int,
) -> Probe:
    stored = Probe.objects.create(
        endpoint=endpoint,
        reachable=error is None,
        abilities=abilities.to_json(),
        error_code=error.code[:64] if error else "",
        error_text=error.message[:500] if error else "",
        duration_ms=duration_ms,
    )
    if error is None:
        record_origin_success(institution_id=endpoint.institution_id)
    else:
        record_origin_failure(institution_id=endpoint.institution_id, error=error)
    _forget_old(endpoint)
    audit.record(
        actor,
        "endpoint.probe",
        obj=endpoint,
        institution_id=endpoint.institution_id,
        result="success" if error is None else "failure",
        detail={"error": stored.error_code},
    )
    return stored


def _forget_old(endpoint: Endpoint) -> None:
    """Keep the newest hundred probes and the newest that reached it."""
    rows = Probe.objects.filter(endpoint=endpoint).order_by("-at", "-pk")
    keep = set(rows.values_list("pk", flat=True)[:KEPT_PROBES])
    keep |= set(rows.filter(reachable=True).values_list("pk", flat=True)[:1])
    rows.exclude(pk__in=keep).delete()
