"""Named searches: filters only, one's own only."""

from __future__ import annotations

import pytest
from django.urls import reverse

from sharing.models import SavedSearch, Series, Study
from tests.support.pages import make_province, make_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def province():
    return make_province()


def save(client, **values):
    return client.post(reverse("sharing:saved-save"), {"name": "今日CT", **values}, follow=True)


def test_a_saved_search_keeps_filters_and_nothing_that_names_a_patient(province) -> None:
    client = province.client("radiologist")

    save(
        client, modality="CT", period="today", quick="110101199003070011", patient_name="张三",
        birth_date="1990-03-07", patient_id="PID-1", sex="M",
    )  # fmt: skip

    assert SavedSearch.objects.get().filters == {"modality": "CT", "period": "today"}


def test_it_is_run_from_the_list_and_from_the_start_page(province) -> None:
    make_study(province.east, 6, name="Wu^Di=吴^迪")
    client = province.client("radiologist")
    save(client, modality="CT", since="2026-01-05")
    saved = SavedSearch.objects.get()
    address = f"{reverse('sharing:studies')}?saved={saved.pk}"

    assert address in client.get("/").content.decode()
    html = client.get(address).content.decode()

    assert html.count("<tr data-row>") == 1
    assert 'value="2026-01-05"' in html


@pytest.mark.parametrize("values", [{}, {"order": "date"}, {"patient_name": "张三"}])
def test_a_search_without_a_filter_is_not_saved(province, values) -> None:
    html = save(province.client("radiologist"), **values).content.decode()

    assert not SavedSearch.objects.exists()
    assert "cannot be saved like this" in html


def test_another_account_neither_runs_nor_deletes_it(province) -> None:
    save(province.client("radiologist"), modality="CT")
    saved = SavedSearch.objects.get()
    other = province.client("clinician")

    answer = other.get(reverse("sharing:studies"), {"saved": saved.pk})
    other.post(reverse("sharing:saved-delete", args=[saved.pk]))

    assert answer.status_code == 404
    assert SavedSearch.objects.filter(pk=saved.pk).exists()


def test_its_owner_deletes_it(province) -> None:
    client = province.client("radiologist")
    save(client, modality="CT")

    client.post(reverse("sharing:saved-delete", args=[SavedSearch.objects.get().pk]))

    assert not SavedSearch.objects.exists()


def test_thirty_are_enough(province) -> None:
    client = province.client("radiologist")
    for number in range(31):
        client.post(reverse("sharing:saved-save"), {"name": f"第{number}个", "modality": "CT"})

    assert SavedSearch.objects.count() == 30


def test_a_part_of_the_body_is_found_by_its_description_and_by_its_series(province) -> None:
    by_series = make_study(province.east, 8, name="Zhou^Jie=周^杰")
    Study.objects.filter(pk=by_series.pk).update(study_description="Routine")
    Series.objects.filter(study=by_series).update(body_part_examined="KNEE")
    client = province.client("radiologist")

    chest = client.post(reverse("sharing:studies"), {"body_part": "chest"}).content.decode()
    limbs = client.post(reverse("sharing:studies"), {"body_part": "limbs"}).content.decode()

    assert chest.count("<tr data-row>") == 2
    assert "周杰" not in chest
    assert limbs.count("<tr data-row>") == 1
    assert "周杰" in limbs
