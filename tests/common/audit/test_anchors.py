"""Anchors outside of the database: who has the database alone cannot rewrite the chain."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from common import audit
from common.audit import anchors, sequencer, tasks
from common.audit.models import AuditEntry, ChainLink, DailyAnchor, PendingEntry
from common.audit.verify import verify
from common.storage import open_store
from sharing.services.rebuilding import rebuild_index
from sharing.services.sweeping import sweep
from tests.common.audit.test_chain import export, tool

YESTERDAY = date(2026, 3, 1)


@pytest.fixture
def store(tmp_path, settings):
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    store = open_store(settings.OBJECT_STORE_URL)
    store.check()
    return store


@pytest.fixture
def trail(actor, store):
    """Five linked entries, anchored inside and outside; two more after the anchor."""
    for number in range(5):
        audit.record(actor, "study.view", object_id=number)
    sequencer.chain_all()
    sequencer.anchor_days(today=YESTERDAY + timedelta(days=1))
    anchors.store_missing(store)
    for number in range(2):
        audit.record(actor, "study.view", object_id=number)
    sequencer.chain_all()
    return list(ChainLink.objects.order_by("sequence"))


def verdict(store):
    return verify(anchors.stored_anchors(store))


def rewrite(tamper, *, anchor_too):
    """What the owner of the database alone can do: another first entry, and every hash made anew."""
    with tamper("audit_auditentry") as cursor:
        cursor.execute("UPDATE audit_auditentry SET actor_name = 'somebody else' WHERE id ="
                       " (SELECT min(id) FROM audit_auditentry)")  # fmt: skip
    entries = list(ChainLink.objects.order_by("sequence").values_list("entry_id", flat=True))
    anchor = DailyAnchor.objects.get()
    with tamper("audit_chainlink") as cursor:
        cursor.execute("DELETE FROM audit_chainlink")
    PendingEntry.objects.bulk_create(PendingEntry(entry_id=pk) for pk in entries)
    sequencer.chain_all()
    if anchor_too:
        head = ChainLink.objects.get(sequence=anchor.sequence).hash
        with tamper("audit_dailyanchor") as cursor:
            cursor.execute("UPDATE audit_dailyanchor SET hash = %s", [head])


def test_an_anchor_is_written_outside_once_and_never_again(trail, store):
    key = anchors.anchor_key(YESTERDAY)
    first = store.head(key)

    assert anchors.store_missing(store) == 0
    assert store.head(key) == first
    assert json.loads(store.get_bytes(key))["hash"] == bytes(trail[4].hash).hex()


def test_the_job_writes_what_an_earlier_release_did_not(trail, store):
    store.delete(anchors.anchor_key(YESTERDAY))

    tasks.anchor_days()

    assert anchors.anchor_key(YESTERDAY) in {stat.key for stat in store.list("audit/")}
    assert verdict(store).fault is None


def test_a_whole_trail_agrees_with_both(trail, store):
    found = verdict(store)

    assert (found.fault, found.anchors, found.stored_anchors) == (None, 1, 1)


def test_a_chain_that_was_rewritten_with_its_anchor_differs_from_the_object_store(
    trail, store, tamper
):
    rewrite(tamper, anchor_too=True)

    assert verify().fault is None  # the database alone tells nothing
    fault = verdict(store).fault
    assert (fault.sequence, fault.text) == (
        5,
        f"differs from the anchor of {YESTERDAY} in the object store",
    )


def test_a_rewritten_tail_is_found_by_the_anchor_behind_it(trail, store, tamper, actor):
    sequencer.anchor_days(today=YESTERDAY + timedelta(days=2))
    anchors.store_missing(store)
    with tamper("audit_chainlink") as cursor:
        cursor.execute("DELETE FROM audit_chainlink WHERE sequence > 5")
    with tamper("audit_auditentry") as cursor:
        cursor.execute("UPDATE audit_auditentry SET action = 'nothing' WHERE id = %s",
                       [trail[6].entry_id])  # fmt: skip
    PendingEntry.objects.bulk_create(PendingEntry(entry_id=link.entry_id) for link in trail[5:])
    sequencer.chain_all()
    with tamper("audit_dailyanchor") as cursor:
        cursor.execute("DELETE FROM audit_dailyanchor WHERE sequence = 7")

    fault = verdict(store).fault

    assert (fault.sequence, fault.text) == (
        7,
        f"differs from the anchor of {YESTERDAY + timedelta(days=1)} in the object store",
    )


def test_a_chain_that_was_cut_off_with_its_anchor_is_found(trail, store, tamper):
    with tamper("audit_chainlink") as cursor:
        cursor.execute("DELETE FROM audit_chainlink WHERE sequence >= 4")
    with tamper("audit_dailyanchor") as cursor:
        cursor.execute("DELETE FROM audit_dailyanchor")
    PendingEntry.objects.all().delete()

    assert "in the object store, but the chain ends before it" in verdict(store).fault.text


def test_an_anchor_on_one_side_only_is_named(trail, store, tamper):
    with tamper("audit_dailyanchor") as cursor:
        cursor.execute("DELETE FROM audit_dailyanchor")
    assert "in the object store and not in the database" in verdict(store).fault.text

    DailyAnchor.objects.create(day=YESTERDAY, sequence=5, hash=bytes(trail[4].hash))
    store.delete(anchors.anchor_key(YESTERDAY))
    assert verdict(store).fault is None  # it has an hour to be written
    with tamper("audit_dailyanchor") as cursor:
        cursor.execute("UPDATE audit_dailyanchor SET anchored_at = now() - interval '2 hours'")
    assert verdict(store).fault.text == f"the anchor of {YESTERDAY} is not in the object store"


def test_the_command_compares_with_the_object_store(trail, store, tamper):
    out, err = io.StringIO(), io.StringIO()
    call_command("verify_audit", stdout=out)
    assert "1 of them in the object store too" in out.getvalue()
    rewrite(tamper, anchor_too=True)

    with pytest.raises(SystemExit) as status:
        call_command("verify_audit", stderr=err)

    assert status.value.code == 1
    assert "in the object store" in err.getvalue()
    call_command("verify_audit", "--no-store", stdout=out)


@pytest.mark.parametrize(
    "body", [b"nonsense", b"{}", b'{"day":"1999-01-01","sequence":1,"hash":""}']
)
def test_an_object_that_is_no_anchor_is_named(trail, store, body):
    store.delete(anchors.anchor_key(YESTERDAY))
    store.put_bytes(anchors.anchor_key(YESTERDAY), body)
    err = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("verify_audit", stderr=err)

    assert anchors.anchor_key(YESTERDAY) in err.getvalue()


def test_the_stand_alone_script_compares_with_a_copy_of_the_bucket(
    trail, store, tamper, tmp_path, capsys
):
    copy = tmp_path / "anchors"
    copy.mkdir()
    for stat in store.list(anchors.PREFIX):
        (copy / stat.key.rsplit("/", 1)[-1]).write_bytes(store.get_bytes(stat.key))
    assert tool.main([str(export(tmp_path)), "--anchors", str(copy)]) == 0

    rewrite(tamper, anchor_too=True)

    path = export(tmp_path)
    assert tool.main([str(path)]) == 0
    assert tool.main([str(path), "--anchors", str(copy)]) == 1
    assert f"the anchor of {YESTERDAY} is not the one that you hold" in capsys.readouterr().out


def test_nothing_that_sweeps_or_rebuilds_touches_the_anchors(trail, store):
    before = store.head(anchors.anchor_key(YESTERDAY))
    sweep(older_than=timedelta(0))
    list(rebuild_index())

    assert store.head(anchors.anchor_key(YESTERDAY)) == before
    assert AuditEntry.objects.count() >= 7
    assert timezone.now() > before.modified_at
