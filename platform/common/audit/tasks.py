"""The sequencer and the daily anchor."""

from __future__ import annotations

from common.audit import sequencer
from common.audit.jobs import ANCHOR_DAYS, CHAIN_ENTRIES


@CHAIN_ENTRIES.implement()
def chain_entries() -> None:
    sequencer.write_repeated()
    sequencer.chain_all()


@ANCHOR_DAYS.implement()
def anchor_days() -> None:
    sequencer.anchor_days()
