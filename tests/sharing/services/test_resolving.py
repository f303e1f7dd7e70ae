"""A conflict in quarantine: compared without pixels, ours kept, or theirs taken in as a new revision."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from django.db import connection
from pydicom.data import get_testdata_file

from common.audit.models import AuditEntry
from common.storage import object_store
from sharing import errors
from sharing.models import Quarantined, Series, SeriesRevision, Study
from sharing.services import quarantine, resolving, revisions
from sharing.services.comparing import compare
from sharing.services.quarantine import Asked
from tests.support import archive

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place() -> Any:
    return archive.make_institution("H1")


@pytest.fixture
def stored(place: Any, tmp_path: Path) -> list[archive.Stored]:
    """Two instances of one series."""
    first = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    paths = []
    for number in (1, 2):
        first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        first.InstanceNumber = number
        paths.append(tmp_path / f"{number}.dcm")
        first.save_as(paths[-1])
    return archive.archive_files(place, paths, tmp_path=tmp_path)


def other_bytes(one: archive.Stored, **changes: Any) -> bytes:
    data_set = pydicom.dcmread(io.BytesIO(one.data))
    for name, value in changes.items():
        setattr(data_set, name, value)
    buffer = io.BytesIO()
    data_set.save_as(buffer)
    return buffer.getvalue()


def conflict(one: archive.Stored, data: bytes, reason: str = "conflict") -> Quarantined:
    header = one.header
    quarantine.keep(
        asked=Asked(
            institution_id=one.study.institution_id,
            institution_code="H1",
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
        ),
        reason=Quarantined.Reason(reason),
        text="other bytes",
        sop_instance_uid=header.sop_instance_uid,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        data=io.BytesIO(data),
    )
    return Quarantined.objects.latest("pk")


def held_now() -> dict[str, str]:
    revision = Series.objects.get().current
    assert revision is not None
    return revisions.entries_by_uid(revisions.stored_index(revision).instances)


def test_the_fields_that_differ_are_named_and_pixels_are_not_read(
    stored: list[archive.Stored],
) -> None:
    theirs = other_bytes(stored[0], PatientName="Other^Name", StudyDescription="X")

    found = compare(conflict(stored[0], theirs))

    assert found.held is not None
    assert found.held.sha256 == hashlib.sha256(stored[0].data).hexdigest()
    assert {each.tag for each in found.differences} == {"00100010", "00081030"}
    assert {each.theirs for each in found.differences} == {"Other^Name", "X"}


def test_equal_headers_with_other_pixels_are_said_to_be_so(stored: list[archive.Stored]) -> None:
    theirs = bytearray(stored[0].data)
    theirs[-1] ^= 1

    found = compare(conflict(stored[0], bytes(theirs)))

    assert found.only_bulk
    assert found.differences == []


@pytest.mark.parametrize("data", [b"", b"no image", b"\x00" * 200])
def test_what_cannot_be_read_is_said(stored: list[archive.Stored], data: bytes) -> None:
    found = compare(conflict(stored[0], data or b" ", "not-dicom"))

    assert not found.readable
    assert found.differences == []


def test_theirs_become_a_new_revision_that_is_proved_and_the_former_one_stays(
    stored: list[archive.Stored],
) -> None:
    theirs = other_bytes(stored[0], PatientName="Right^Name")
    case = conflict(stored[0], theirs)
    before = SeriesRevision.objects.get()

    resolving.take_theirs(actor="keeper", case_id=case.pk, note="PACS corrected the name")

    case.refresh_from_db()
    series = Series.objects.get()
    assert (case.state, case.resolution, case.settled_by) == ("settled", "taken", "keeper")
    assert held_now() == {
        "1.2.3.1": hashlib.sha256(theirs).hexdigest(),
        "1.2.3.2": hashlib.sha256(stored[1].data).hexdigest(),
    }
    assert series.current is not None
    assert (series.current.number, series.state) == (2, "verified")
    assert Study.objects.get().state == "archived"
    assert object_store().head(f"{before.prefix}.zip").size == before.size_bytes
    entry = AuditEntry.objects.get(action="quarantine.settle")
    assert entry.detail == {"resolution": "taken"}
    assert entry.study_instance_uid == case.study_instance_uid


def test_ours_kept_changes_nothing(stored: list[archive.Stored]) -> None:
    case = conflict(stored[0], other_bytes(stored[0], PatientName="Other^Name"))
    before = held_now()

    quarantine.settle(actor="keeper", case_id=case.pk, note="a copy with another header")

    case.refresh_from_db()
    assert case.resolution == "kept"
    assert held_now() == before
    assert SeriesRevision.objects.count() == 1


@pytest.mark.parametrize(
    "broken", ["reason", "other study", "not dicom", "altered", "unknown instance", "no series"]
)
def test_what_cannot_be_taken_in_is_refused_and_stays_open(
    stored: list[archive.Stored], broken: str
) -> None:
    theirs = other_bytes(
        stored[0], **({"StudyInstanceUID": "1.9"} if broken == "other study" else {})
    )
    case = conflict(
        stored[0],
        b"no image" if broken == "not dicom" else theirs,
        "truncated" if broken == "reason" else "conflict",
    )
    changes = {
        "altered": {"sha256": "0" * 64},
        "unknown instance": {"sop_instance_uid": "1.2.99"},
        "no series": {"series_instance_uid": "1.2.98"},
    }.get(broken, {})
    Quarantined.objects.filter(pk=case.pk).update(**changes)
    before = held_now()

    with pytest.raises(errors.CaseNotTakeable):
        resolving.take_theirs(actor="keeper", case_id=case.pk, note="why")

    case.refresh_from_db()
    assert case.state == "open"
    assert held_now() == before


def test_nothing_is_decided_twice_or_without_a_word(stored: list[archive.Stored]) -> None:
    case = conflict(stored[0], other_bytes(stored[0], PatientName="Other^Name"))

    with pytest.raises(errors.NoteMissing):
        resolving.take_theirs(actor="keeper", case_id=case.pk, note=" \x00")
    quarantine.settle(actor="keeper", case_id=case.pk, note="kept")
    with pytest.raises(errors.AlreadySettled):
        resolving.take_theirs(actor="keeper", case_id=case.pk, note="after all")
    with pytest.raises(errors.AlreadySettled):
        quarantine.settle(actor="keeper", case_id=case.pk, note="again")


def test_a_pull_that_was_faster_wins(
    stored: list[archive.Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = conflict(stored[0], other_bytes(stored[0], PatientName="Other^Name"))
    seal = revisions.seal

    def slow(**given: Any) -> Any:
        sealed = seal(**given)
        Series.objects.update(current=None)  # what a pull of the same moment does to the row
        return sealed

    monkeypatch.setattr(revisions, "seal", slow)

    with pytest.raises(errors.StudyBeingStored):
        resolving.take_theirs(actor="keeper", case_id=case.pk, note="why")

    case.refresh_from_db()
    assert case.state == "open"
    assert connection.in_atomic_block is False
