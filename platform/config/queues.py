"""Celery queues by nature of work, and the workers of one machine that serve them.

A lane that somebody waits for never stands behind one that nobody waits for: each lane of transfers
is its own queue, and on-demand work has a worker process that takes nothing else.
"""

from __future__ import annotations

import os

DEFAULT = "default"
EVENTS = "events"
DISCOVERY = "discovery"
TRANSFER = "transfer"
ON_DEMAND = "transfer.on-demand"
TODAY = "transfer.today"
BACKFILL = "transfer.backfill"
GATHERING = "gathering"

QUEUES = (DEFAULT, EVENTS, DISCOVERY, TRANSFER, ON_DEMAND, TODAY, BACKFILL, GATHERING)

_CORES = os.cpu_count() or 2

# Worker name → (queues, processes).
WORKERS: dict[str, tuple[tuple[str, ...], int]] = {
    "worker-general": ((DEFAULT, EVENTS, DISCOVERY, GATHERING), 3),
    "worker-demand": ((ON_DEMAND,), 1),
    "worker-transfer": ((ON_DEMAND, TODAY, TRANSFER, BACKFILL), max(2, _CORES)),
}
