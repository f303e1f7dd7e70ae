"""From every list of studies to the pictures in one click."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from hospitals.models import Institution
from sharing.models import Person, Transfer
from tests.support.pages import make_province, make_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def province(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    found = make_province()
    found.partner = Institution.objects.create(
        code="PARTNER",
        name="合作医院",
        region=found.east.region,
        consortium=found.east.consortium,
        state="active",
    )
    return found


@pytest.fixture
def viewer(tmp_path):
    """OHIF is installed."""
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer" / "index.html").write_text("OHIF")


def opening(study) -> str:
    return f"/studies/{study.institution.code}/{study.study_instance_uid}/open/"


def links(html: str) -> list[str]:
    return re.findall(r'<a class="button[^"]*" target="viewer"[^>]* href="([^"]+)"', html)


def test_each_row_of_the_list_opens_its_study(province) -> None:
    page = province.client("radiologist").get("/studies/").content.decode()

    rows = page[page.index("<tbody") :]
    assert opening(province.study) in links(rows)
    assert len(links(rows)) == rows.count("<tr data-row>")


def test_the_study_page_a_running_transfer_and_a_failed_one_open_the_study(province) -> None:
    client = province.client("institution_admin")
    Transfer.objects.filter(series__study=province.study).update(
        state="running", started_at=timezone.now(), finished_at=None, lease_until=timezone.now()
    )
    here = f"/studies/EAST/{province.study.study_instance_uid}/"

    for address, study in (
        (here, province.study),
        ("/hospitals/EAST/", province.study),
        ("/operations/", province.failed.series.study),
    ):
        assert opening(study) in links(client.get(address).content.decode()), address


def test_a_study_that_is_only_listed_says_that_it_must_be_fetched(province) -> None:
    study = make_study(province.east, 9, name="Wu^Di=吴^迪", state="indexed")
    type(study).objects.filter(pk=study.pk).update(instance_count=0)

    page = province.client("radiologist").get("/studies/").content.decode()

    assert opening(study) not in page
    assert "To be fetched" in page


@pytest.mark.parametrize("role", ["commission", "operator"])
def test_who_sees_no_pictures_is_offered_none(province, role: str) -> None:
    client = province.client(role)

    for address in ("/studies/", "/operations/"):
        assert links(client.get(address).content.decode()) == []
    assert client.get(opening(province.study)).status_code == 404


def test_the_full_viewer_opens_where_it_is_installed(province, viewer) -> None:
    answer = province.client("radiologist").get(opening(province.study))

    uid = province.study.study_instance_uid
    assert answer.headers["Location"] == f"/viewer/viewer?StudyInstanceUIDs={uid}"


def test_without_it_the_light_viewer_opens(province) -> None:
    answer = province.client("radiologist").get(opening(province.study))

    uid = province.study.study_instance_uid
    assert answer.headers["Location"] == f"/studies/EAST/{uid}/view/{uid}.1/"


def test_other_studies_of_the_patient_are_offered_side_by_side_and_strangers_are_not(
    province, viewer
) -> None:
    known = {"patient_birth_date": "1980-02-03", "patient_sex": "F"}
    name = "Zhao^Lei=赵^雷"
    shown = make_study(province.east, 4, name=name)
    sure = make_study(province.east, 5, name="Zhao^L")
    perhaps = make_study(province.partner, 6, name=name)
    stranger = make_study(province.partner, 7, name=name)  # the same number, another birth date
    hidden = make_study(province.west, 8, name=name)
    rows = type(shown).objects
    rows.filter(pk__in=[shown.pk, perhaps.pk, hidden.pk]).update(**known)
    rows.filter(pk__in=[shown.pk, sure.pk, stranger.pk]).update(patient_id="P-1")
    person = Person.objects.create(key="P1")
    rows.filter(pk__in=[shown.pk, sure.pk]).update(person=person)
    client = province.client("radiologist")

    page = client.get(f"/studies/EAST/{shown.study_instance_uid}/priors/").content.decode()
    beside = [address.partition("beside=")[2] for address in links(page)]
    opened = client.get(opening(shown), {"beside": perhaps.study_instance_uid})

    assert beside == [sure.study_instance_uid, perhaps.study_instance_uid]
    assert page.index("same number in this hospital") < page.index("agree: check")
    pair = f"{shown.study_instance_uid},{perhaps.study_instance_uid}"
    assert opened.headers["Location"] == (
        f"/viewer/viewer?StudyInstanceUIDs={pair}&hangingProtocolId=@ohif/hpCompare"
    )
    assert client.get(opening(shown), {"beside": hidden.study_instance_uid}).status_code == 404
