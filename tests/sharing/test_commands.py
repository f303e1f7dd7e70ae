"""The commands as a person types them: what they print, and how they end."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from common.storage import object_store
from sharing.models import Series, Study, Transfer
from tests.support.pulling import (
    STUDY,
    Hospital,
    add_all,
    archived,
    held,
    instance,
)

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str) -> tuple[str, str]:
    """What was printed, and why it failed if it did."""
    out = StringIO()
    try:
        call_command(*words, stdout=out, stderr=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def table(text: str) -> dict[str, str]:
    """The closing table: its one row by the names of its columns."""
    lines = [re.split(r"[│┃]", line)[1:-1] for line in text.splitlines() if re.match("[│┃]", line)]
    head, row = ([cell.strip() for cell in line] for line in lines[:2])
    return dict(zip(head, row, strict=True))


@pytest.fixture
def five(hospital: Hospital) -> Hospital:
    add_all(hospital.origin, (instance(number) for number in range(1, 5)))
    hospital.origin.add(instance(1, study="1.2.9", series="1.2.9.1", study_date="20200101"))
    return hospital


def test_pull_and_wait_ends_with_the_table_of_what_was_done(five):
    out, failure = run("pull", "H1", "--wait")

    assert failure == ""
    found = table(out)
    assert list(found) == [
        "studies", "series", "instances", "bytes", "MB/s", "verified", "quarantined", "failed",
    ]  # fmt: skip
    size = sum(len(one.data) for one in five.origin.held)
    assert found | {"MB/s": ""} == {
        "studies": "2", "series": "2", "instances": "5", "bytes": str(size), "MB/s": "",
        "verified": "2", "quarantined": "0", "failed": "0",
    }  # fmt: skip
    assert float(found["MB/s"]) >= 0
    assert archived() == held(five.origin)


def test_pull_fails_with_the_reasons_when_a_series_is_not_whole(five):
    five.origin.add(b"not DICOM", study=STUDY, series=f"{STUDY}.1", sop="1.2.666")

    out, failure = run("pull", "H1", "--wait")

    assert failure == "1 failed."
    assert f"{STUDY}.1: incomplete: The hospital lists 5 instances; 1 are not here." in out
    found = table(out)
    assert (found["verified"], found["failed"]) == ("1", "1")
    assert int(found["quarantined"]) >= 1


def test_pull_fails_with_the_reason_when_the_hospital_does_not_answer(five):
    five.origin.manners.status = 500

    out, failure = run("pull", "H1", "--wait")

    assert failure == "1 failed."
    assert "origin-failed" in out


def test_pull_of_dates_takes_these_days_alone(five):
    _, failure = run("pull", "H1", "--wait", "--since", "2026-02-28", "--until", "2026-03-02")

    assert failure == ""
    assert [study.study_instance_uid for study in Study.objects.all()] == [STUDY]


def test_pull_of_one_study_compares_every_instance_again(five):
    run("pull", "H1", "--wait")
    five.origin.requests.clear()

    out, failure = run("pull", "H1", "--wait", "--study", STUDY)

    assert failure == ""
    assert table(out)["series"] == "1"
    assert f"/studies/{STUDY}/series/{STUDY}.1" in [path for path, _ in five.origin.requests]
    assert Series.objects.get(study__study_instance_uid=STUDY).current.number == 1


def test_pull_without_waiting_leaves_the_work_to_the_workers(five):
    out, failure = run("pull", "H1")

    assert (failure, "2 studies found" in out) == ("", True)
    assert Transfer.objects.filter(state="waiting").count() == 2


def test_pull_of_the_index_only_copies_nothing(five):
    run("pull", "H1", "--wait", "--index-only")

    assert Study.objects.count() == 2
    assert not Transfer.objects.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("H9",), "H9"),
        (("H1", "--since", "2026-03-02", "--until", "2026-03-01"), "later than"),
        (("H1", "--since", "yesterday"), "not a date"),
        (("H1", "--study", "abc"), "not a UID"),
        (("H1", "--study", "1.2.3", "--since", "2026-03-01"), "leave the dates out"),
        (("H1", "--study", "1.2.3.4.5"), "lists no study 1.2.3.4.5"),
    ],
)
def test_pull_says_what_is_wrong_with_its_arguments(five, words, why):
    _, failure = run("pull", *words)

    assert why in failure


def test_pull_of_a_suspended_hospital_is_refused(five):
    run("hospital", "suspend", "H1", "--reason", "contract ended")

    assert "institution-not-active" in run("pull", "H1", "--wait")[1]
    assert five.origin.requests == []


def test_verify_archive_is_clean_or_names_what_is_damaged_and_fails(five, archive):
    run("pull", "H1", "--wait")
    assert "5 instances" in run("verify_archive")[0]
    assert run("verify_archive")[1] == ""
    path = next((archive / "archive/H1" / STUDY).rglob("*.zip"))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-7])

    out, failure = run("verify_archive")
    assert "1 damaged" in failure
    assert path.name.removesuffix(".zip") in out
    assert run("verify_archive", "--study", "1.2.9")[1] == ""
    assert "1 damaged" in run("verify_archive", "--study", STUDY)[1]
    assert "No archived study" in run("verify_archive", "--study", "1.2.3.4")[1]


def test_rebuild_index_says_what_it_wrote_and_fails_when_something_is_unusable(five):
    run("pull", "H1", "--wait")

    out, failure = run("rebuild_index")
    assert failure == ""
    assert "2 studies, 2 series: 0 revisions, 0 certificates and 0 quarantine cases" in out
    object_store().put_bytes("archive/H1/notes.txt", b"hello")

    out, failure = run("rebuild_index")
    assert "1 objects could not be used" in failure
    assert "archive/H1/notes.txt" in out


def test_sweep_refuses_to_touch_what_may_be_running_and_says_what_it_removed(five):
    run("pull", "H1", "--wait")

    assert "1 or more" in run("sweep", "--older-than-hours", "0.5")[1]
    out, failure = run("sweep")
    assert (failure, "0 orphans" in out) == ("", True)
    assert "would be removed" in run("sweep", "--dry-run")[0]
