"""Every connected hospital is measured again by itself: daily, and sooner while it cannot be reached."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from hospitals.jobs import PROBE
from hospitals.models import Endpoint, Institution
from hospitals.selectors.health import newest_probes
from hospitals.services.origins import CLOSED_STATES
from hospitals.services.probing import probe

KNOWN_FOR = dt.timedelta(hours=24)
UNREACHED_FOR = dt.timedelta(minutes=15)
AT_ONCE = 10


def ask_for_due_probes() -> int:
    """Hand hospitals whose last probe is too old to the workers, a few at a time; returns how many."""
    endpoints = dict(
        Endpoint.objects.exclude(institution__state__in=CLOSED_STATES).values_list(
            "pk", "institution_id"
        )
    )
    due = [endpoints[pk] for pk in _due(list(endpoints))][:AT_ONCE]
    for institution_id in due:
        PROBE.enqueue(institution_id=institution_id)
    return len(due)


def probe_if_due(*, institution_id: int) -> bool:
    """Probe one hospital unless that was done meanwhile: a wake-up may come twice."""
    institution = Institution.objects.select_related("endpoint").get(pk=institution_id)
    if not _due([institution.endpoint.pk]):
        return False
    probe(actor="prober", institution=institution)
    return True


def _due(endpoint_ids: list[int]) -> list[int]:
    newest = newest_probes(endpoint_ids)
    now = timezone.now()
    return [
        pk
        for pk in endpoint_ids
        if pk not in newest
        or now - newest[pk].at > (KNOWN_FOR if newest[pk].reachable else UNREACHED_FOR)
    ]
