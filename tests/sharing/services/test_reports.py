"""Reports taken in: in versions, before or after their study, once or twice, for the right institution."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from common.audit.models import AuditEntry
from common.errors import NotPermitted
from sharing.domain.report import Verdict
from sharing.errors import (
    AccessionAmbiguous,
    InstitutionNotActive,
    ReportContentInvalid,
    ReportNotOfThisStudy,
    ReportVersionDiffers,
)
from sharing.models import Report, ReportVersion
from sharing.permissions import forget_sights
from sharing.services import reports
from tests.support import archive
from tests.support.reports import content, take

UID = "1.2.826.0.1.3680043.8.498.4"


@pytest.fixture
def place(db: None) -> Any:
    forget_sights()
    return archive.make_institution("near")


@pytest.fixture
def study(place: Any) -> Any:
    return archive.make_indexed_study(place, f"{UID}.1", accession_number="A1", patient_id="P1")


def test_a_report_finds_its_study_by_uid_and_by_accession_number(place: Any, study: Any) -> None:
    by_uid = take(place, content(), study_instance_uid=f"{UID}.1", report_number="R1")
    by_number = take(place, content(), accession_number="A1", report_number="R2")

    assert by_uid.report.study == by_number.report.study == study
    assert by_uid.is_new
    assert by_uid.version.status == "final"


def test_the_same_message_again_changes_nothing(place: Any, study: Any) -> None:
    first = take(place, content(), accession_number="A1")
    again = take(place, content(), accession_number="A1")

    assert again.verdict == Verdict.DUPLICATE
    assert again.version == first.version
    assert ReportVersion.objects.count() == 1


def test_versions_are_added_and_the_newest_counts(place: Any, study: Any) -> None:
    take(place, content("preliminary", "初步"), accession_number="A1")
    take(place, content("final", "最终", minutes=5), accession_number="A1")
    newest = take(place, content("final", "更正", minutes=9), accession_number="A1")

    told = [(each.number, each.status, each.is_current) for each in newest.report.versions.all()]
    assert told == [(1, "preliminary", False), (2, "final", False), (3, "amended", True)]


def test_what_comes_late_or_falls_back_changes_nothing(place: Any, study: Any) -> None:
    take(place, content("final", "最终", minutes=5), accession_number="A1")
    late = take(place, content("final", "旧", minutes=1), accession_number="A1")
    back = take(place, content("preliminary", "初步", minutes=9), accession_number="A1")

    assert late.verdict == back.verdict == Verdict.STALE
    assert back.version.findings == "最终"
    assert ReportVersion.objects.count() == 1


def test_a_version_of_the_sender_has_one_content(place: Any, study: Any) -> None:
    take(place, content(version=4), accession_number="A1")

    with pytest.raises(ReportVersionDiffers):
        take(place, content(findings="anders", version=4), accession_number="A1")


def test_a_report_waits_for_its_study_and_is_joined_when_that_is_indexed(place: Any) -> None:
    by_uid = take(place, content(), study_instance_uid=f"{UID}.7", report_number="R1").report
    by_number = take(place, content(), accession_number="A7", report_number="R2").report
    assert by_uid.study is None

    study = archive.make_indexed_study(place, f"{UID}.7", accession_number="A7")

    joined = Report.objects.filter(study=study).order_by("pk")
    assert list(joined) == [by_uid, by_number]


def test_a_report_that_waits_is_joined_when_the_study_gets_its_accession_number(place: Any) -> None:
    study = archive.make_indexed_study(place, f"{UID}.7")
    report = take(place, content(), accession_number="A7").report

    type(study).objects.filter(pk=study.pk).update(accession_number="A7")

    report.refresh_from_db()
    assert report.study == study


def test_a_report_never_joins_another_institutions_study(place: Any) -> None:
    far = archive.make_institution("far")
    archive.make_indexed_study(far, f"{UID}.8", accession_number="A8")

    report = take(place, content(), study_instance_uid=f"{UID}.8").report

    assert report.study is None


def test_a_report_of_another_patient_is_refused_and_never_joined(place: Any, study: Any) -> None:
    for named in ({"study_instance_uid": f"{UID}.1"}, {"accession_number": "A1"}):
        with pytest.raises(ReportNotOfThisStudy):
            take(place, content(), patient_number="P2", **named)
    waiting = take(
        place, content(), study_instance_uid=f"{UID}.9", patient_number="P2", report_number="R9"
    ).report

    archive.make_indexed_study(place, f"{UID}.9", patient_id="P1")

    waiting.refresh_from_db()
    assert waiting.study is None


def test_an_accession_number_of_several_studies_is_refused(place: Any, study: Any) -> None:
    archive.make_indexed_study(place, f"{UID}.2", accession_number="A1", patient_id="P2")

    with pytest.raises(AccessionAmbiguous):
        take(place, content(), accession_number="A1")
    # Unless the patient tells them apart.
    assert take(place, content(), accession_number="A1", patient_number="P1").report.study == study


def test_a_waiting_report_does_not_choose_between_two_studies(place: Any) -> None:
    report = take(place, content(), accession_number="A5").report
    with transaction.atomic():
        connection.cursor().execute("SET LOCAL session_replication_role = replica")  # no trigger
        first = archive.make_indexed_study(place, f"{UID}.5", accession_number="A5")
    archive.make_indexed_study(place, f"{UID}.6", accession_number="A5")
    assert reports.join_waiting() == 0

    first.delete()

    assert reports.join_waiting() == 1
    report.refresh_from_db()
    assert report.study is not None


def test_a_number_belongs_to_one_study(place: Any, study: Any) -> None:
    archive.make_indexed_study(place, f"{UID}.2", accession_number="A2")
    take(place, content(), accession_number="A1", report_number="R1")

    for named in ({"accession_number": "A2"}, {"study_instance_uid": f"{UID}.2"}):
        with pytest.raises(ReportNotOfThisStudy):
            take(place, content("amended", minutes=5), report_number="R1", **named)


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"study_instance_uid": "1.2.x"},
        {"accession_number": "A" * 65},
        {"accession_number": "A\x001"},
        {"accession_number": "A1", "report_number": "R" * 129},
        {"accession_number": "A1", "patient_number": "P\n1"},
    ],
)
def test_a_report_that_names_no_study_or_names_it_wrongly_is_refused(
    place: Any, named: dict[str, str]
) -> None:
    with pytest.raises(ReportContentInvalid):
        take(place, content(), **named)


@pytest.mark.parametrize("role", ["radiologist", "clinician", "institution_admin"])
def test_only_an_integrator_sends_and_only_for_its_own_institution(place: Any, role: str) -> None:
    far = archive.make_institution("far")
    sender = archive.make_user("pacs", "integrator", place, is_system=True)
    reader = archive.make_user("reader", role, place)

    assert take(place, content(), actor=sender, accession_number="A1").report.pk
    for actor, at in ((sender, far), (reader, place)):
        with pytest.raises(NotPermitted):
            take(at, content(), actor=actor, accession_number="A1")


def test_a_suspended_institution_sends_nothing(place: Any) -> None:
    sender = archive.make_user("pacs", "integrator", place, is_system=True)
    type(place).objects.filter(pk=place.pk).update(state="suspended", state_reason="audit")

    with pytest.raises(InstitutionNotActive):
        take(place, content(), actor=sender, accession_number="A1")


def test_the_audit_knows_of_every_message_and_of_no_text(place: Any, study: Any) -> None:
    take(place, content(findings="SECRET"), accession_number="A1")
    take(place, content(findings="SECRET"), accession_number="A1")

    entries = AuditEntry.objects.filter(action="report.receive").order_by("pk")
    assert [each.detail["outcome"] for each in entries] == ["stored", "duplicate"]
    assert {each.study_instance_uid for each in entries} == {f"{UID}.1"}
    assert "SECRET" not in str(list(entries.values()))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sharing_reportversion SET findings = 'x'",
        "UPDATE sharing_reportversion SET is_current = false, status = 'final'",
        "DELETE FROM sharing_reportversion",
        "TRUNCATE sharing_reportversion CASCADE",
    ],
)
def test_the_database_keeps_what_a_report_said(place: Any, study: Any, statement: str) -> None:
    take(place, content("preliminary"), accession_number="A1")
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)


def test_a_deleted_study_leaves_its_report_waiting_and_an_undo_brings_it_back(
    place: Any, study: Any
) -> None:
    report = take(place, content(), accession_number="A1", study_instance_uid=f"{UID}.1").report

    study.delete()
    report.refresh_from_db()
    assert report.study is None
    again = archive.make_indexed_study(place, f"{UID}.1", patient_id="P1")

    report.refresh_from_db()
    assert report.study == again


@pytest.mark.django_db(transaction=True)
def test_two_versions_at_once_make_two_versions_and_one_that_counts() -> None:
    place = archive.make_institution("near")
    failed: list[BaseException] = []

    def send(minute: int) -> None:
        try:
            take(
                place,
                content("amended", f"version {minute}", minutes=minute),
                accession_number="A1",
            )
        except BaseException as error:  # noqa: BLE001 (told to the test)
            failed.append(error)
        finally:
            connection.close()

    senders = [threading.Thread(target=send, args=[minute]) for minute in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert failed == []
    (current,) = ReportVersion.objects.filter(is_current=True)
    assert current.findings == "version 5"
    assert Report.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_report_and_its_study_that_come_at_once_find_each_other() -> None:
    place = archive.make_institution("near")
    began, go_on = threading.Event(), threading.Event()

    def index() -> None:
        with transaction.atomic():
            archive.make_indexed_study(place, f"{UID}.1")
            began.set()
            go_on.wait(10)
        connection.close()

    writer = threading.Thread(target=index)
    writer.start()
    assert began.wait(10)
    threading.Timer(0.3, go_on.set).start()
    report = take(place, content(), study_instance_uid=f"{UID}.1").report
    writer.join()

    report.refresh_from_db()
    assert report.study is not None
