"""The planner: gives back what was lost and hands out what the workers can take."""

from __future__ import annotations

from django.conf import settings

from sharing.jobs import LANE_QUEUES, PULL_SERIES
from sharing.models import Transfer
from sharing.services import proving, transfers


def plan() -> int:
    """One round of planning; returns how many transfers were handed to workers.

    Runs every two seconds. Losing it, the broker or a worker loses nothing: the next round sees the rows.
    """
    transfers.release_lost()
    proving.certify_overdue()
    return hand_on()


def hand_on() -> int:
    """Fill the places that are free; returns how many transfers were handed to workers.

    A worker asks for it when it has finished one, so that small series do not wait for the next round.
    """
    slots = transfers.open_places(total=settings.PULL_PLACES)
    chosen = transfers.hand_out(slots=slots)
    lanes = Transfer.objects.in_bulk(chosen)
    for transfer_id in chosen:
        queue = LANE_QUEUES[lanes[transfer_id].lane]
        PULL_SERIES.enqueue_with({"transfer_id": transfer_id}, queue=queue)
    return len(chosen)
