"""The chain: written in batches, and what tampering looks like."""

from __future__ import annotations

import importlib.util
import io
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from common import audit
from common.audit import sequencer
from common.audit.models import AuditEntry, ChainLink, DailyAnchor, PendingEntry
from common.audit.verify import verify

ROOT = Path(__file__).resolve().parents[3]


def load_tool():
    path = ROOT / "tools" / "verify_audit_export.py"
    spec = importlib.util.spec_from_file_location("verify_audit_export", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()


@pytest.fixture
def trail(actor):
    """Seven linked entries and an anchor at the last."""
    for number in range(7):
        audit.record(
            actor,
            "study.view",
            object_id=number,
            detail={"姓": [1, 2.5, None], "b": {"z": 1, "a": 2}},
        )
    sequencer.chain_all(batch=3)
    sequencer.anchor_days(today=timezone.localdate() + timedelta(days=1))
    return list(ChainLink.objects.order_by("sequence"))


def test_a_whole_trail_is_found_whole(trail):
    verdict = verify()

    assert verdict.fault is None
    assert (verdict.links, verdict.anchors, verdict.waiting) == (7, 1, 0)
    assert verdict.head == bytes(trail[-1].hash)


def test_an_empty_trail_is_whole(db):
    assert verify().fault is None


def test_the_command_links_what_waits_and_says_so(trail, actor):
    audit.record(actor, "login")
    out = io.StringIO()

    call_command("verify_audit", stdout=out)

    assert "is whole: 8 links, 1 anchors" in out.getvalue()


def test_an_altered_entry_is_named_and_the_exit_status_is_1(trail, tamper):
    victim = trail[3]
    with tamper("audit_auditentry") as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET actor_name = 'nobody' WHERE id = %s", [victim.entry_id]
        )
    err = io.StringIO()

    with pytest.raises(SystemExit) as status:
        call_command("verify_audit", stderr=err)

    assert status.value.code == 1
    assert f"link 4, entry {victim.entry_id}: the entry is not what was chained" in err.getvalue()


@pytest.mark.parametrize(
    ("statement", "sequence", "text"),
    [
        ("DELETE FROM audit_chainlink WHERE sequence = 3", 4, "link 3 is missing"),
        ("UPDATE audit_chainlink SET prev_hash = hash WHERE sequence = 2", 2, "does not continue"),
        (
            "UPDATE audit_chainlink SET hash = prev_hash WHERE sequence = 5",
            5,
            "not what was chained",
        ),
        ("DELETE FROM audit_chainlink WHERE sequence = 7", 7, "the chain ends before it"),
    ],
)
def test_an_altered_chain_is_named(trail, tamper, statement, sequence, text):
    with tamper("audit_chainlink") as cursor:
        cursor.execute(statement)

    fault = verify().fault

    assert fault is not None
    assert fault.sequence == sequence
    assert text in fault.text


def test_a_removed_entry_is_named(trail, tamper):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'audit_chainlink'::regclass AND contype = 'f'"
        )
        (name,) = cursor.fetchone()
        cursor.execute(f"ALTER TABLE audit_chainlink DROP CONSTRAINT {name}")
    with tamper("audit_auditentry") as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE id = %s", [trail[1].entry_id])

    assert (verify().fault.sequence, verify().fault.text) == (2, "the entry is gone")


def test_a_chain_rewritten_whole_differs_from_its_anchor(trail, tamper):
    with tamper("audit_auditentry") as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET action = 'x' WHERE id = %s", [trail[0].entry_id]
        )
    entries = [link.entry_id for link in trail]
    with tamper("audit_chainlink") as cursor:
        cursor.execute("DELETE FROM audit_chainlink")
    PendingEntry.objects.bulk_create(PendingEntry(entry_id=pk) for pk in entries)
    sequencer.chain_all()

    fault = verify().fault

    assert (fault.sequence, fault.text) == (7, f"differs from the anchor of {timezone.localdate()}")


def test_an_entry_kept_out_of_the_chain_is_named(trail, actor):
    entry = audit.record(actor, "study.export")
    PendingEntry.objects.all().delete()

    assert (verify().fault.entry_id, verify().fault.text) == (
        entry.pk,
        "is in no link and does not wait for one",
    )


def test_an_entry_written_past_our_code_enters_the_chain_too(trail, db):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_auditentry SELECT 100000, at, actor_kind, actor_id, actor_name,"
            " actor_institution_code, actor_institution_name, 'by.hand', object_type, object_id, institution_id,"
            " study_instance_uid, basis, purpose, result, address, request_id, count, detail"
            " FROM audit_auditentry LIMIT 1"
        )

    assert sequencer.chain_all() == 1
    assert ChainLink.objects.get(sequence=8).entry_id == 100000


def test_a_day_is_anchored_once(actor):
    audit.record(actor, "login")
    sequencer.chain_all()

    first = sequencer.anchor_days(today=date(2026, 3, 2))
    again = sequencer.anchor_days(today=date(2026, 3, 2))

    assert ([anchor.day for anchor in first], again) == ([date(2026, 3, 1)], [])
    assert bytes(DailyAnchor.objects.get().hash) == bytes(ChainLink.objects.get().hash)


@pytest.mark.django_db(transaction=True)
def test_writers_never_wait_for_an_open_writer_and_the_late_one_is_chained_too():
    """A transaction that stays open with a lower number neither blocks the chain nor is lost."""
    written, release = threading.Event(), threading.Event()

    def slow_writer():
        with transaction.atomic():
            audit.record("slow", "first.number.last.commit")
            written.set()
            release.wait(10)
        connection.close()

    writer = threading.Thread(target=slow_writer)
    writer.start()
    assert written.wait(10)
    audit.record("fast", "second.number")
    assert sequencer.chain_all() == 1
    release.set()
    writer.join(10)
    assert sequencer.chain_all() == 1

    actors = list(
        ChainLink.objects.order_by("sequence").values_list("entry__actor_name", flat=True)
    )
    assert actors == ["fast", "slow"]
    assert verify().fault is None


@pytest.mark.django_db(transaction=True)
def test_many_writers_and_several_sequencers_make_one_chain_without_a_gap():
    faults = []

    def guarded(work):
        def run():
            try:
                work()
            except Exception as error:  # noqa: BLE001  # told by the assertion below
                faults.append(error)
            finally:
                connection.close()

        return threading.Thread(target=run)

    def write():
        for number in range(40):
            audit.record("writer", "study.view", object_id=number)

    def sequence():
        for _ in range(10):
            sequencer.chain_all(batch=7)

    threads = [guarded(write) for _ in range(4)] + [guarded(sequence) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sequencer.chain_all()

    assert faults == []
    assert AuditEntry.objects.count() == ChainLink.objects.count() == 160
    assert (verify().fault, verify().links) == (None, 160)


def export(tmp_path, *args):
    path = tmp_path / "audit.jsonl"
    call_command("export_audit", "--output", str(path), *args)
    return path


def test_the_stand_alone_script_finds_an_export_whole(trail, tmp_path, capsys):
    path = export(tmp_path)
    anchor = DailyAnchor.objects.get()

    assert tool.main([str(path), "--anchor", f"{anchor.day}={bytes(anchor.hash).hex()}"]) == 0
    assert capsys.readouterr().out.startswith("WHOLE: up to link 7, 1 anchors")


def test_a_part_of_the_chain_is_checked_by_itself(trail, tmp_path, capsys):
    assert tool.main([str(export(tmp_path, "--after", "4"))]) == 0
    assert "up to link 7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "status", "text"),
    [
        (lambda lines: [line.replace("radiologist", "somebody") if '"sequence":4,' in line else line
                        for line in lines], 1, "link 4: the entry is not what was chained"),
        (lambda lines: lines[:3] + lines[4:], 1, "link 3 is missing"),
        (lambda lines: [line for line in lines if '"end"' not in line], 2, "cut off"),
        (lambda lines: ["{}"], 2, "no known kind"),
        (lambda lines: ["nonsense"], 2, "not JSON"),
    ],
)  # fmt: skip
def test_the_stand_alone_script_names_what_is_broken(trail, tmp_path, capsys, damage, status, text):
    path = export(tmp_path)
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")

    assert tool.main([str(path)]) == status
    output = capsys.readouterr()
    assert text in output.out + output.err


def test_an_anchor_kept_elsewhere_must_agree(trail, tmp_path, capsys):
    path = export(tmp_path)

    assert tool.main([str(path), "--anchor", f"{timezone.localdate()}={'0' * 64}"]) == 1
    assert tool.main([str(path), "--anchor", f"1999-01-01={'0' * 64}"]) == 1
    assert "is not in the export" in capsys.readouterr().out
