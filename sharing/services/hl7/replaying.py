"""Messages acted on again, by somebody who repaired what stood in their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from common import audit
from common.hl7.acknowledgement import Answer
from sharing.models import HospitalMessage
from sharing.services.hl7 import intake

if TYPE_CHECKING:
    from common.accounts.models import User

State = HospitalMessage.State


def replay(*, actor: User | str, message_id: int) -> Answer:
    """Act on a kept message again, as if it had just come; also on one that is done.

    The caller has narrowed the message to what the actor may steer.
    """
    with transaction.atomic():
        row = HospitalMessage.objects.select_for_update().get(pk=message_id)
        audit.record(actor, "hl7.replay", row, detail={"was": row.state})
        row.state, row.settled_at, row.outcome = State.RECEIVED, None, ""
        row.error_code = row.error_text = row.condition = row.location = ""
        row.save()
    return intake.run(message_id=message_id, actor=actor)


def content(*, actor: User, message: HospitalMessage) -> list[str]:
    """The segments of a message as they came. Patient data: looking is in the audit.

    The caller has asked whether the actor may read it.
    """
    audit.record(actor, "hl7.view", message, purpose="repair")
    return intake.segments_of(message)
