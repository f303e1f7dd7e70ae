"""Stored secrets under the newest key, so that an older one can be thrown away."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from common import audit, privacy
from hospitals import permissions
from hospitals.models import Endpoint
from hospitals.permissions import Actor
from hospitals.services.origins import SECRET_CONTEXT


@dataclass(frozen=True)
class Rotation:
    """How many secrets were encrypted anew, how many were already, and whose cannot be read."""

    renewed: int
    current: int
    unreadable: tuple[str, ...]


def rotate_secrets(*, actor: Actor) -> Rotation:
    """Encrypt every endpoint's secret with the first of FIELD_KEYS. Each row by itself: one that
    cannot be read stays as it is, and the others are done; running again does what is left.

    Raises:
        NotPermitted: the actor does not administer the province.
    """
    permissions.require(permissions.may_administer(actor))
    rows = Endpoint.objects.filter(secret__isnull=False).order_by("pk")
    renewed = current = 0
    unreadable = []
    for pk, code in list(rows.values_list("pk", "institution__code")):
        try:
            if _rotate(actor, pk):
                renewed += 1
            else:
                current += 1
        except privacy.Undecipherable:
            unreadable.append(code)
    return Rotation(renewed, current, tuple(unreadable))


@transaction.atomic
def _rotate(actor: Actor, pk: int) -> bool:
    endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=pk)
    if endpoint.secret is None or not privacy.needs_rotation(endpoint.secret):
        return False
    secret = privacy.rotated(endpoint.secret, context=SECRET_CONTEXT)
    Endpoint.objects.filter(pk=pk).update(secret=secret)
    audit.record(
        actor, "endpoint.rotate_secret", obj=endpoint, institution_id=endpoint.institution_id
    )
    return True
