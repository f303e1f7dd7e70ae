"""Kept messages, and the secrets of order-entry systems, under the newest key."""

from __future__ import annotations

from django.db import transaction

from common import audit, privacy
from sharing.models import HospitalMessage, LaunchSystem
from sharing.services.hl7.intake import CONTEXT
from sharing.services.launching import SECRET_CONTEXT

BATCH = 200


def rotate_messages() -> int:
    """Encrypt what is not under the first of FIELD_KEYS yet, batch by batch; how many values.

    Raises:
        Undecipherable: the key of one is gone; what was done before stays done.
    """
    done = _secrets()
    last = 0
    while True:
        with transaction.atomic():
            rows = list(
                HospitalMessage.objects.select_for_update(no_key=True)
                .filter(pk__gt=last)
                .order_by("pk")
                .only("pk", "body")[:BATCH]
            )
            for row in rows:
                if privacy.needs_rotation(row.body):
                    body = privacy.rotated(row.body, context=CONTEXT)
                    HospitalMessage.objects.filter(pk=row.pk).update(body=body)
                    done += 1
        if not rows:
            break
        last = rows[-1].pk
    if done:
        audit.record(
            "manage.py rotate_keys",
            "hl7.rotate-keys",
            object_type="sharing.hospitalmessage",
            count=done,
        )
    return done


def _secrets() -> int:
    done = 0
    with transaction.atomic():
        for row in LaunchSystem.objects.select_for_update().exclude(secret=None):
            if row.secret and privacy.needs_rotation(row.secret):
                secret = privacy.rotated(row.secret, context=SECRET_CONTEXT)
                LaunchSystem.objects.filter(pk=row.pk).update(secret=secret)
                done += 1
    return done
