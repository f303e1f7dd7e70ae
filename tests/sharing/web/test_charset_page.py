"""Names read with the wrong character set: previewed, repaired and put back on a page of the administrator."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from sharing.models import CharsetRepair, Study
from sharing.services import charset_repair
from tests.support.pages import Province, inline_parts, make_province

pytestmark = pytest.mark.django_db
GARBLED = "王小明".encode("gb18030").decode("latin-1")
THERE = "/hospitals/EAST/names/"


@pytest.fixture
def province() -> Province:
    found = make_province()
    Study.objects.filter(pk=found.failed.series.study_id).update(
        patient_name=GARBLED, state="indexed", instance_count=0
    )
    found.failed.series.delete()
    return found


@pytest.mark.parametrize(
    ("role", "status"),
    [("institution_admin", 200), ("commission", 403), ("operator", 403), ("radiologist", 403)],
)
def test_only_the_institutions_administrator_gets_the_page(
    province: Province, role: str, status: int
) -> None:
    assert province.client(role).get(THERE).status_code == status
    assert province.client("institution_admin", institution=province.west).get(
        THERE
    ).status_code == 404  # fmt: skip


def test_names_are_previewed_repaired_and_put_back(province: Province) -> None:
    client = province.client("institution_admin", language="zh-hans")

    shown = client.post(THERE, {"character_set": "GB18030"}).content.decode()
    assert "王小明" in shown
    assert GARBLED in shown
    assert inline_parts(shown) == []
    assert not Study.objects.filter(patient_name="王小明").exists()

    client.post(reverse("sharing:charset-start", args=["EAST"]), {"character_set": "GB18030"})
    assert "every 2s" in client.get(THERE).content.decode()
    charset_repair.run()
    assert Study.objects.filter(patient_name="王小明").exists()
    html = client.get(THERE, headers={"HX-Request": "true"}).content.decode()
    assert html.lstrip().startswith('<section id="runs"')
    assert "every 2s" not in html

    repair = CharsetRepair.objects.get()
    client.post(reverse("sharing:charset-undo", args=[repair.pk]))
    charset_repair.run()
    assert Study.objects.filter(patient_name=GARBLED).exists()


@pytest.mark.parametrize("given", ["", "zlib", "\x00", "x" * 500])
def test_a_set_that_is_none_changes_nothing_and_is_said(province: Province, given: str) -> None:
    client = province.client("institution_admin")

    answer: Any = client.post(THERE, {"character_set": given})
    client.post(reverse("sharing:charset-start", args=["EAST"]), {"character_set": given})

    assert answer.status_code == 200
    assert not CharsetRepair.objects.exists()


def test_another_institutions_repair_cannot_be_undone(province: Province) -> None:
    own = province.client("institution_admin")
    own.post(reverse("sharing:charset-start", args=["EAST"]), {"character_set": "GBK"})
    repair = CharsetRepair.objects.get()
    stranger = province.client("institution_admin", institution=province.west)

    answer = stranger.post(reverse("sharing:charset-undo", args=[repair.pk]))

    repair.refresh_from_db()
    assert answer.status_code in {403, 404}
    assert repair.state == "running"
