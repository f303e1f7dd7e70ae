"""The daily run over the chain, and what it found."""

from __future__ import annotations

import time

from common import logs
from common.audit import anchors, sequencer
from common.audit.models import ChainCheck
from common.audit.verify import verify
from common.storage import StoreUnavailable, object_store

log = logs.get_logger(__name__)
_LONGEST_FAULT = 300


def check() -> ChainCheck:
    """Link what waits, check everything, keep the result; a fault is told in the log too, which leaves the database."""
    started = time.monotonic()
    sequencer.chain_all()
    stored, unreadable = _stored()
    verdict = verify(stored)
    fault = str(verdict.fault) if verdict.fault else unreadable
    found = ChainCheck.objects.create(
        links=verdict.links,
        anchors=verdict.anchors,
        stored_anchors=verdict.stored_anchors,
        head=verdict.head,
        fault=fault[:_LONGEST_FAULT],
        duration_ms=int((time.monotonic() - started) * 1000),
    )
    if fault:
        log.error("audit.chain_broken", fault=fault, links=verdict.links)
    else:
        log.info("audit.chain_whole", links=verdict.links, head=verdict.head.hex())
    return found


def _stored() -> tuple[list[anchors.StoredAnchor] | None, str]:
    try:
        return anchors.stored_anchors(object_store()), ""
    except StoreUnavailable:
        return None, "the anchors in the object store cannot be read"
    except anchors.AnchorUnreadable as error:
        return None, f"the object {error} is not the anchor that it should be"
