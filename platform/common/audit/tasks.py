"""The sequencer and the daily anchor."""

from __future__ import annotations

from common.audit import anchors, checking, sending, sequencer
from common.audit.jobs import ANCHOR_DAYS, CHAIN_ENTRIES, SEND_ENTRIES, VERIFY_CHAIN
from common.storage import object_store


@CHAIN_ENTRIES.implement()
def chain_entries() -> None:
    sequencer.write_repeated()
    sequencer.chain_all()


@ANCHOR_DAYS.implement()
def anchor_days() -> None:
    sequencer.anchor_days()
    # After the transaction: what stands in the store was in the database first.
    anchors.store_missing(object_store())


@VERIFY_CHAIN.implement()
def verify_chain() -> None:
    checking.check()


@SEND_ENTRIES.implement()
def send_entries() -> None:
    sending.send_new()
