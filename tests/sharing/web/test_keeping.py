"""Cases, deletions, legal holds and the scorecard: for who keeps the institution, and for nobody else's."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from common.audit.models import AuditEntry
from sharing.models import Deletion, LegalHold, Quarantined, SeriesRevision, Study
from sharing.selectors.scorecard import forget_scorecards, scorecard, total
from sharing.services import deleting
from tests.support.pages import Province, inline_parts, make_province, make_study

pytestmark = pytest.mark.django_db
PAGES = ["cases", "scorecard", "deletions"]


@pytest.fixture
def province() -> Province:
    forget_scorecards()
    return make_province()


def at(name: str, code: str = "EAST") -> str:
    return reverse(f"sharing:{name}", args=[code])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("role", "there", "elsewhere"),
    [
        ("institution_admin", 200, 404),
        ("commission", 200, 200),
        ("operator", 200, 200),
        ("radiologist", 403, 404),
        ("clinician", 403, 404),
        ("auditor", 403, 403),
        ("", 404, 404),
    ],
)
def test_each_role_finds_the_pages_of_what_it_keeps(
    province: Province, page: str, role: str, there: int, elsewhere: int
) -> None:
    client = province.client(role)

    assert [client.get(at(page, code)).status_code for code in ("EAST", "WEST", "NONE")] == [
        there,
        elsewhere,
        404,
    ]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("page", PAGES)
def test_the_pages_obey_the_policy_for_content(
    province: Province, page: str, language: str
) -> None:
    html = province.client("institution_admin", language=language).get(at(page)).content.decode()

    assert inline_parts(html) == []
    assert f'<html lang="{language}"' in html


def test_the_tabs_of_the_administrator_lead_everywhere(province: Province) -> None:
    html = province.client("institution_admin").get("/hospitals/EAST/").content.decode()

    for page in PAGES:
        assert at(page) in html


@pytest.fixture
def case(province: Province) -> Quarantined:
    return Quarantined.objects.get(institution=province.east)


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ({}, True),
        ({"state": "open"}, True),
        ({"state": "settled"}, False),
        ({"state": "all"}, True),
        ({"reason": "truncated"}, True),
        ({"reason": "conflict"}, False),
        ({"state": "<x>", "reason": "\u200b"}, True),
    ],
)
def test_the_list_of_cases_is_filtered(
    province: Province, case: Quarantined, question: dict[str, str], shown: bool
) -> None:
    html = province.client("institution_admin").get(at("cases"), question).content.decode()

    assert (reverse("sharing:case", args=[case.pk]) in html) is shown


def test_a_case_of_another_institution_looks_absent(province: Province, case: Quarantined) -> None:
    client = province.client("institution_admin", institution=province.west)

    assert client.get(reverse("sharing:case", args=[case.pk])).status_code == 404
    answer = client.post(reverse("sharing:resolve", args=[case.pk]), {"do": "keep", "note": "x"})
    assert answer.status_code == 404
    case.refresh_from_db()
    assert case.state == "open"


@pytest.mark.parametrize("verb", ["take", "keep", "reject", "", "explode"])
def test_a_case_that_is_no_conflict_is_closed_and_never_taken_in(
    province: Province, case: Quarantined, verb: str
) -> None:
    client = province.client("institution_admin")

    client.post(reverse("sharing:resolve", args=[case.pk]), {"do": verb, "note": "re-sent"})

    case.refresh_from_db()
    assert (case.state, case.resolution) == (
        ("open", "") if verb == "take" else ("settled", "rejected")
    )


def test_the_case_page_says_who_decided_and_why(province: Province, case: Quarantined) -> None:
    client = province.client("institution_admin")
    client.post(reverse("sharing:resolve", args=[case.pk]), {"do": "reject", "note": "PACS 已重发"})

    html = client.get(reverse("sharing:case", args=[case.pk])).content.decode()

    assert "PACS 已重发" in html
    assert '<form method="post" class="form"' not in html


def delete(province: Province, **changes: Any) -> Any:
    client = province.client("institution_admin")
    there = reverse("sharing:delete", args=["EAST", province.study.study_instance_uid])
    return client, client.post(there, {"reason": "quality"} | changes)


def test_the_administrator_deletes_with_a_reason_and_sees_until_when_it_can_be_undone(
    province: Province,
) -> None:
    client, answer = delete(province)

    row = Deletion.objects.get()
    assert answer["Location"] == at("deletions")
    assert not Study.objects.filter(pk=province.study.pk).exists()
    html = client.get(at("deletions")).content.decode()
    assert row.study_instance_uid in html
    assert reverse("sharing:undelete", args=[row.pk]) in html
    assert AuditEntry.objects.filter(action="study.delete").exists()


@pytest.mark.parametrize("reason", ["", "because", "\x00"])
def test_nothing_is_deleted_without_a_known_reason(province: Province, reason: str) -> None:
    delete(province, reason=reason)

    assert not Deletion.objects.exists()


@pytest.mark.parametrize(
    ("role", "status"),
    [("radiologist", 403), ("commission", 403), ("operator", 403), ("auditor", 404), ("", 404)],
)
def test_nobody_else_deletes_on_a_page(province: Province, role: str, status: int) -> None:
    there = reverse("sharing:delete", args=["EAST", province.study.study_instance_uid])

    assert province.client(role).post(there, {"reason": "quality"}).status_code == status
    assert not Deletion.objects.exists()


def test_a_deletion_of_another_institution_cannot_be_undone(province: Province) -> None:
    delete(province)
    row = Deletion.objects.get()
    client = province.client("institution_admin", institution=province.west)

    assert client.post(reverse("sharing:undelete", args=[row.pk])).status_code == 404
    assert province.client("radiologist").post(
        reverse("sharing:undelete", args=[row.pk])
    ).status_code == 404  # fmt: skip
    row.refresh_from_db()
    assert row.lifted_at is None


def test_a_deletion_is_undone_once(province: Province) -> None:
    client, _ = delete(province)
    row = Deletion.objects.get()
    there = reverse("sharing:undelete", args=[row.pk])

    client.post(there)
    again = client.post(there, follow=True)

    row.refresh_from_db()
    assert row.lifted_by
    assert "No deletion of this study can be undone." in again.content.decode()


def hold(province: Province, role: str = "institution_admin", **changes: str) -> Any:
    given = {"study": province.study.study_instance_uid, "reference": "(2026)民初12号"}
    return province.client(role).post(at("hold"), given | changes)


def test_a_study_under_hold_is_not_deleted_and_the_province_releases_it(province: Province) -> None:
    hold(province)
    row = LegalHold.objects.get()
    _, refused = delete(province)
    own = province.client("institution_admin")
    released = reverse("sharing:release", args=[row.pk])

    assert refused["Location"] == reverse(
        "sharing:study", args=["EAST", province.study.study_instance_uid]
    )
    assert not Deletion.objects.exists()
    assert own.post(released).status_code == 403
    assert province.client("operator").post(released).status_code == 302
    row.refresh_from_db()
    assert row.released_by


@pytest.mark.parametrize(
    "changes", [{"study": "x y"}, {"study": ""}, {"reference": " "}, {"reference": "\x00"}], ids=str
)
def test_a_hold_names_a_study_and_its_file(province: Province, changes: dict[str, str]) -> None:
    answer = hold(province, **changes)

    assert answer.status_code in {302, 404}
    assert not LegalHold.objects.exists()


@pytest.mark.parametrize("role", ["radiologist", "clinician", "auditor"])
def test_nobody_else_sets_a_hold(province: Province, role: str) -> None:
    assert hold(province, role).status_code == 403


def test_the_study_page_offers_keeping_to_its_keepers_only(province: Province) -> None:
    page = reverse("sharing:study", args=["EAST", province.study.study_instance_uid])
    mark = 'id="keeping-title"'

    own = province.client("institution_admin").get(page).content.decode()
    reader = province.client("radiologist").get(page).content.decode()
    operator = province.client("operator").get(page).content.decode()

    assert (mark in own, mark in reader, mark in operator) == (True, False, True)
    assert reverse("sharing:delete", args=["EAST", province.study.study_instance_uid]) in own
    assert "/delete" not in operator


def test_the_scorecard_counts_what_is_there_and_says_what_is_not(province: Province) -> None:
    Study.objects.filter(institution=province.east).update(study_date=timezone.localdate())
    bad = make_study(province.east, 9, name="\ufffd\ufffd", state="incomplete")
    Study.objects.filter(pk=bad.pk).update(study_date=timezone.localdate())

    months = scorecard(institution_id=province.east.pk, today=timezone.localdate())

    assert len(months) == 12
    now, whole = months[-1], total(months)
    assert (now.studies, now.retrievable, now.incomplete, now.unreadable_names) == (3, 1, 2, 1)
    assert (now.transfers, now.failed, now.cases) == (3, 2, 1)
    assert now.next_day_share == 1
    assert now.complete_share == pytest.approx(1 / 3)
    assert (now.reached_share, now.answer_ms) == (None, None)  # never probed
    assert (months[0].studies, months[0].retrievable_share) == (0, None)
    assert whole.studies == 3


@pytest.mark.parametrize(
    ("today", "first"),
    [(dt.date(2026, 1, 31), dt.date(2025, 2, 1)), (dt.date(2024, 2, 29), dt.date(2023, 3, 1))],
)
def test_the_months_are_whole_and_the_running_one_is_last(
    province: Province, today: dt.date, first: dt.date
) -> None:
    months = scorecard(institution_id=province.east.pk, today=today)

    assert (months[0].first, months[-1].first) == (first, today.replace(day=1))


def test_the_scorecard_is_exported_as_plain_numbers_and_leaves_a_trace(province: Province) -> None:
    Study.objects.filter(institution=province.east).update(study_date=timezone.localdate())
    answer = province.client("institution_admin").get(at("scorecard-export"))

    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 13
    assert rows[-1][:3] == [f"{timezone.localdate():%Y-%m}", "2", "1"]
    assert rows[-1][-1] == ""  # no figure is no nought
    assert AuditEntry.objects.filter(action="scorecard.export").exists()
    stranger = province.client("institution_admin", institution=province.west)
    assert stranger.get(at("scorecard-export")).status_code == 404


def test_the_scorecard_asks_few_queries(
    province: Province, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(5):
        scorecard(institution_id=province.east.pk, today=timezone.localdate())
    with django_assert_max_num_queries(0):
        scorecard(institution_id=province.east.pk, today=timezone.localdate())


def test_what_was_purged_is_not_offered_for_undo(province: Province) -> None:
    delete(province)
    Deletion.objects.update(purge_after=timezone.now() - dt.timedelta(hours=1))
    deleting.purge_due()

    html = province.client("institution_admin").get(at("deletions")).content.decode()

    assert "/undo" not in html


def test_a_revision_counts_as_late_only_where_it_grew(province: Province) -> None:
    series = province.study.series.get()
    for number, instances in ((2, 3), (3, 5)):  # read anew; then two more came
        SeriesRevision.objects.create(
            series=series,
            number=number,
            prefix=f"archive/EAST/{number}",
            instance_count=instances,
            size_bytes=1,
            pack_digest="ab" * 32,
            stored_at=timezone.now(),
        )

    months = scorecard(institution_id=province.east.pk, today=timezone.localdate())

    assert months[-1].late == 1
