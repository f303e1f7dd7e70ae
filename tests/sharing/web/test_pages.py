"""The pages of the portal: who gets what, in both languages, without a patient in an address."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from common.audit.models import AuditEntry
from sharing.models import DiscoveryWindow, Quarantined, Transfer
from tests.support.pages import inline_parts, make_province, make_study

pytestmark = pytest.mark.django_db
NAME = "张三"
CARRIERS = ["commission", "operator", "auditor", "radiologist", "institution_admin", "clinician"]


@pytest.fixture
def province():
    return make_province()


@pytest.fixture
def pages(province):
    uid = province.study.study_instance_uid
    return [
        reverse("sharing:home"),
        reverse("sharing:studies"),
        reverse("sharing:study", args=["EAST", uid]),
        reverse("sharing:view", args=["EAST", uid, f"{uid}.1"]),
        reverse("sharing:operations"),
        reverse("hospitals:list"),
        reverse("hospitals:hospital", args=["EAST"]),
    ]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_page_says_its_language_and_obeys_the_policy_for_content(province, pages, language):
    client = province.client("radiologist", language=language)

    for page in pages:
        response = client.get(page)
        html = response.content.decode()

        assert response.status_code == (403 if page == reverse("sharing:operations") else 200), page
        assert f'<html lang="{language}"' in html
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert inline_parts(html) == [], page


def test_a_page_with_inline_parts_would_be_found():
    assert inline_parts('<p style="x"><script>1</script><a onclick="x">') != []


def test_the_language_switch_is_kept(province):
    client = province.client("radiologist", language="zh-hans")

    client.post(reverse("set_language"), {"language": "en", "next": "/"})

    assert "Newest in my hospital" in client.get("/").content.decode()


def test_strangers_get_the_login_page(client, pages):
    for page in pages:
        response = client.get(page, headers={"Accept": "text/html"})
        assert response.status_code == 302
        assert response.headers["Location"].startswith(reverse("accounts:login"))


@pytest.mark.parametrize("role", CARRIERS)
def test_the_start_page_answers_every_role(province, role):
    response = province.client(role).get("/")

    assert response.status_code == 200
    assert "东部人民医院" in response.content.decode()
    # Whoever reads pictures goes on with the newest of the own hospital; nobody else meets a patient here.
    assert (NAME in response.content.decode()) == (role in {"radiologist", "clinician"})


def test_htmx_gets_the_fragment_of_the_start_page(province):
    response = province.client("operator").get("/", headers={"HX-Request": "true"})

    html = response.content.decode()
    assert html.lstrip().startswith('<div id="province"')
    assert "HX-Request" in response.headers["Vary"]


def test_the_start_page_asks_fast_only_while_something_is_open(province):
    client = province.client("operator")
    assert "every 20s" in client.get("/").content.decode()

    Transfer.objects.filter(pk=province.failed.pk).update(state="waiting", finished_at=None)
    from sharing.selectors.overview import forget_figures

    forget_figures()

    assert "every 2s" in client.get("/").content.decode()


def test_a_radiologist_sees_the_own_hospital_and_not_another(province):
    html = province.client("radiologist").get(reverse("sharing:studies")).content.decode()

    assert NAME in html
    assert "王五" not in html


@pytest.mark.parametrize("role", ["commission", "operator"])
def test_those_who_run_the_province_see_patients_masked(province, role):
    client = province.client(role)
    uid = province.study.study_instance_uid

    for page in (reverse("sharing:studies"), reverse("sharing:study", args=["EAST", uid])):
        html = client.get(page).content.decode()
        assert "张*" in html
        assert NAME not in html
        assert "PID-1" not in html
        assert "ACC-1" not in html
        assert "胸部平扫" not in html
    assert client.get(reverse("sharing:view", args=["EAST", uid, f"{uid}.1"])).status_code == 404


@pytest.mark.parametrize("role", ["commission", "operator", "auditor"])
def test_a_masked_patient_cannot_be_searched_for(province, role):
    response = province.client(role).post(reverse("sharing:studies"), {"patient_name": NAME})

    assert "张" not in response.content.decode().split('id="results"')[1]


def test_an_auditor_has_figures_and_no_study(province):
    client = province.client("auditor")

    assert (
        province.study.study_instance_uid
        not in client.get(reverse("sharing:studies")).content.decode()
    )
    page = reverse("sharing:study", args=["EAST", province.study.study_instance_uid])
    assert client.get(page).status_code == 404


def test_a_hidden_study_looks_like_an_absent_one(province):
    client = province.client("radiologist", institution=province.west)

    hidden = client.get(reverse("sharing:study", args=["EAST", province.study.study_instance_uid]))
    absent = client.get(reverse("sharing:study", args=["EAST", "1.2.3"]))

    assert hidden.status_code == absent.status_code == 404


@pytest.mark.parametrize("text", ["张三", "zhangsan", "zs", "zhang", "San"])
def test_a_name_is_found_by_han_pinyin_and_initials(province, text):
    response = province.client("radiologist").post(
        reverse("sharing:studies"), {"patient_name": text}
    )

    results = response.content.decode().split('id="results"')[1]
    assert NAME in results
    assert "李娜" not in results


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({"patient_id": "PID-2"}, "李娜"),
        ({"accession_number": "ACC-2"}, "李娜"),
        ({"since": "2026-01-02"}, "李娜"),
        ({"until": "2026-01-01"}, NAME),
        ({"state": "incomplete"}, "李娜"),
    ],
)
def test_each_field_narrows_the_list(province, question, found):
    response = province.client("radiologist").post(reverse("sharing:studies"), question)

    results = response.content.decode().split('id="results"')[1]
    assert found in results
    assert {NAME, "李娜"} - {found} != set()
    assert ({NAME, "李娜"} - {found}).pop() not in results


def test_an_address_cannot_carry_a_patient(province):
    response = province.client("radiologist").get(
        reverse("sharing:studies"), {"patient_name": "李娜"}
    )

    assert NAME in response.content.decode()  # the name in the address was not listened to


def test_an_invalid_search_is_answered_with_its_reason(province):
    client = province.client("radiologist")

    response = client.post(
        reverse("sharing:studies"), {"since": "2026-02-01", "until": "2026-01-01"}
    )

    assert response.status_code == 422
    assert "The last day lies before the first." in response.content.decode()


def test_the_list_asks_the_same_number_of_queries_however_long_it_is(
    province, django_assert_max_num_queries
):
    client = province.client("radiologist")
    for number in range(4, 24):
        make_study(province.east, number, name="Zhao^Lei=赵^雷")

    with django_assert_max_num_queries(24) as counted:  # ten of them are the reader's rights
        client.get(reverse("sharing:studies"))
    many = len(counted)
    with django_assert_max_num_queries(many):
        client.post(reverse("sharing:studies"), {"patient_name": "李娜"})


def test_the_export_is_a_table_without_formulas_and_leaves_a_trace(province):
    make_study(province.east, 5, name="=HYPERLINK(1)")

    response = province.client("radiologist").post(reverse("sharing:export"), {"order": "-date"})

    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 4
    assert not any(line.startswith("=") for line in lines)
    entry = AuditEntry.objects.get(action="study.export")
    assert entry.detail == {"rows": 3, "limit": 10_000, "by": []}
    assert (entry.purpose, entry.basis) == ("list", "")


def test_an_auditor_and_a_system_may_not_export(province):
    for role in ("auditor", "integrator"):
        assert province.client(role).post(reverse("sharing:export")).status_code == 403


def test_the_study_page_shows_the_certificate_and_keys_only_to_operators(province):
    page = reverse("sharing:study", args=["EAST", province.study.study_instance_uid])

    reader = province.client("radiologist").get(page).content.decode()
    operator = province.client("operator").get(page).content.decode()

    assert "Number 1, issued" in reader
    assert "archive/EAST/" not in reader
    assert "archive/EAST/" in operator


def test_a_failed_transfer_is_explained_and_tried_again(province):
    client = province.client("operator")
    html = client.get(reverse("sharing:operations")).content.decode()
    assert "The hospital lists more instances than it sent." in html

    client.post(reverse("sharing:retry", args=[province.failed.pk]))

    province.failed.refresh_from_db()
    assert province.failed.state == Transfer.State.WAITING


def test_a_failed_search_says_its_days_or_that_it_was_about_everything(province):
    for since, until in [(None, None), (dt.date(2026, 3, 1), dt.date(2026, 3, 31))]:
        DiscoveryWindow.objects.create(
            institution=province.study.institution,
            since=since,
            until=until,
            state=DiscoveryWindow.State.FAILED,
            not_before=timezone.now(),
            error_code="origin-refused",
        )

    html = province.client("operator").get(reverse("sharing:operations")).content.decode()

    days = re.findall(r'data-label="Study dates">([^<]*)<', html)
    assert sorted(days) == ["2026-03-01 – 2026-03-31", "everything"]


@pytest.mark.parametrize("role", ["auditor", "radiologist", "clinician"])
def test_those_who_do_not_run_a_hospital_cannot_retry(province, role):
    response = province.client(role).post(reverse("sharing:retry", args=[province.failed.pk]))

    province.failed.refresh_from_db()
    assert response.status_code == 404
    assert province.failed.state == Transfer.State.FAILED


@pytest.fixture
def case(province) -> Quarantined:
    now = timezone.now()
    return Quarantined.objects.create(
        institution=province.study.institution,
        study_instance_uid=province.study.study_instance_uid,
        series_instance_uid=f"{province.study.study_instance_uid}.1",
        reason="conflict",
        text="An instance with this UID and other bytes is held.",
        sha256="e" * 64,
        size_bytes=9,
        object_key="quarantine/EAST/e.dcm",
        first_at=now,
        last_at=now,
    )


def test_a_case_is_closed_with_a_note_and_leaves_the_list(province, case):
    client = province.client("operator")

    client.post(reverse("sharing:resolve", args=[case.pk]), {"note": "Hospital re-sent a copy."})

    case.refresh_from_db()
    assert (case.state, case.settled_note) == ("settled", "Hospital re-sent a copy.")
    assert case.settled_by
    assert case.settled_at is not None
    assert "e" * 16 not in client.get(reverse("sharing:operations")).content.decode()


def test_a_case_is_not_closed_without_a_word(province, case):
    province.client("operator").post(reverse("sharing:resolve", args=[case.pk]), {"note": "  "})

    case.refresh_from_db()
    assert case.state == "open"


@pytest.mark.parametrize("role", ["auditor", "radiologist", "clinician"])
def test_those_who_do_not_run_a_hospital_cannot_close_a_case(province, case, role):
    response = province.client(role).post(
        reverse("sharing:resolve", args=[case.pk]), {"note": "seen"}
    )

    case.refresh_from_db()
    assert response.status_code == 404
    assert case.state == "open"


def test_the_light_viewer_says_that_it_is_for_reference_only_V1(province):
    uid = province.study.study_instance_uid
    client = province.client("radiologist", language="zh-hans")

    html = client.get(reverse("sharing:view", args=["EAST", uid, f"{uid}.1"])).content.decode()

    assert "仅供参考，不作为诊断依据" in html
