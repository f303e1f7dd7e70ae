"""From every list of studies to the pictures in one click."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from sharing.models import Transfer
from tests.support.pages import make_province, make_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def province(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return make_province()


@pytest.fixture
def viewer(tmp_path):
    """OHIF is installed."""
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer" / "index.html").write_text("OHIF")


def opening(study) -> str:
    return f"/studies/{study.institution.code}/{study.study_instance_uid}/open/"


def links(html: str) -> list[str]:
    return re.findall(r'<a class="button[^"]*" target="viewer" href="([^"]+)"', html)


def test_each_row_of_the_list_opens_its_study(province) -> None:
    page = province.client("radiologist").get("/studies/").content.decode()

    rows = page[page.index("<tbody>") :]
    assert opening(province.study) in links(rows)
    assert len(links(rows)) == rows.count("<tr>")


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
