"""Entries name the patient by a pseudonym; those from before they did still verify."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.db import connection

from common import audit
from common.audit import chain, directory, sequencer
from common.audit import services as audit_services
from common.audit.models import AuditEntry, ChainLink, RepeatedAccess
from common.audit.verify import verify
from tests.common.audit.test_chain import export, tool

UID = "1.2.840.10008.1"
BEFORE_PERSONS = tuple(name for name in chain.COLUMNS if name != "person_key")


class Register:
    """Whose study it is, told as the module above tells it."""

    def __init__(self):
        self.asked = 0

    def key_of_study(self, *, institution_id, study_instance_uid):
        self.asked += 1
        return f"P{institution_id}"

    def key_of_person(self, *, person_id):
        return f"K{person_id}"


@pytest.fixture
def register(monkeypatch):
    register = Register()
    monkeypatch.setattr(directory, "_subjects", register)
    return register


def test_an_entry_about_a_study_names_its_person_by_itself(actor, register):
    entry = audit.record(actor, "study.export", institution_id=3, study_instance_uid=UID)

    assert entry.person_key == "P3"


def test_a_given_pseudonym_is_kept_and_nobody_is_asked(actor, register):
    entry = audit.record(
        actor, "study.export", institution_id=3, study_instance_uid=UID, person_key="X1"
    )

    assert (entry.person_key, register.asked) == ("X1", 0)


def test_what_was_refused_is_noted_without_a_person_as_the_absent_is(actor, register):
    entry = audit.record(actor, "access.refused", study_instance_uid=UID, result="not-found")

    assert (entry.person_key, register.asked) == ("", 0)


def test_repeated_reads_ask_once_and_name_the_person(actor, register, monkeypatch):
    monkeypatch.setattr(audit_services, "counts", audit_services._Counts())

    for _ in range(50):
        audit.record_view(actor, "dicomweb.view", institution_id=3, study_instance_uid=UID)

    assert register.asked == 1
    assert RepeatedAccess.objects.get().values["person_key"] == "P3"


def test_a_counted_search_says_by_what_it_was_and_when_it_ended(actor, monkeypatch):
    monkeypatch.setattr(audit_services, "counts", audit_services._Counts())
    audit.record_view(actor, "study.search", detail={"by": ["accession_number"]})
    RepeatedAccess.objects.update(first_at="2026-01-01T00:00Z")

    sequencer.write_repeated()

    detail = AuditEntry.objects.get().detail
    assert detail["by"] == ["accession_number"]
    assert set(detail) == {"by", "last_at"}


def test_entries_from_before_pseudonyms_still_verify_beside_new_ones(actor, tmp_path, capsys):
    old = audit.record(actor, "study.view", study_instance_uid=UID)
    row = AuditEntry.objects.values(*chain.COLUMNS).get(pk=old.pk)
    as_it_was = {name: chain.content(row)[name] for name in BEFORE_PERSONS}
    digest = chain.link_hash(prev_hash=chain.GENESIS, sequence=1, fields=as_it_was)
    audit.record(actor, "study.view", person_key="7QX2")

    sequencer.chain_all()

    assert bytes(ChainLink.objects.get(sequence=1).hash) == digest
    assert (verify().fault, verify().links) == (None, 2)
    assert tool.main([str(export(tmp_path))]) == 0
    assert '"person_key":"7QX2"' in export(tmp_path).read_text()


@pytest.mark.parametrize("other", ["", "SOMEBODY"])
def test_a_changed_pseudonym_breaks_the_chain(actor, tamper, other):
    audit.record(actor, "study.view", person_key="7QX2")
    sequencer.chain_all()
    with tamper("audit_auditentry") as cursor:
        cursor.execute("UPDATE audit_auditentry SET person_key = %s", [other])
    err = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("verify_audit", stderr=err)

    assert "the entry is not what was chained" in err.getvalue()


def test_the_entries_of_a_person_are_found_by_an_index(actor):
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'audit_by_person'")
        (text,) = cursor.fetchone()

    assert "person_key" in text
