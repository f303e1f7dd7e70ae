"""The planner: gives back what was lost and hands out what the workers can take."""

from __future__ import annotations

from django.conf import settings

from sharing.jobs import PULL_SERIES
from sharing.services import proving, transfers


def plan() -> int:
    """One round of planning; returns how many transfers were handed to workers.

    Runs every two seconds. Losing it, the broker or a worker loses nothing: the next round sees the rows.
    """
    transfers.release_lost()
    proving.certify_overdue()
    slots = transfers.open_places(total=settings.PULL_PLACES)
    chosen = transfers.hand_out(slots=slots)
    for transfer_id in chosen:
        PULL_SERIES.enqueue(transfer_id=transfer_id)
    return len(chosen)
