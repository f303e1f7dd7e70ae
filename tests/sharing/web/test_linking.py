"""The queue of patients that may be one person: who gets it, what it shows, what is decided there."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from django.urls import reverse

from common.accounts.models import User
from hospitals.models import Membership
from sharing.models import LinkCandidate, LinkEvent, LocalPatient
from sharing.permissions import forget_sights
from sharing.services import candidates
from tests.support.pages import Province, make_province
from tests.support.patients import registered

pytestmark = pytest.mark.django_db
QUEUE = "/link-review/"


@pytest.fixture
def province() -> Province:
    found = make_province()
    same: dict[str, Any] = {"birth_date": date(1980, 5, 6), "phone": "13800005678"}
    registered(found.east, "E-1", name="Zhang^San=张^三", **same)
    registered(found.west, "W-12345", name="Zhang^San=张^三", **same)
    candidates.compare_due()
    return found


def pair() -> LinkCandidate:
    return LinkCandidate.objects.get()


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("institution_admin", 200),
        ("commission", 200),
        ("radiologist", 403),
        ("clinician", 403),
        ("integrator", 403),
        ("auditor", 403),
        ("operator", 403),
        ("", 403),
    ],
)
def test_who_keeps_master_data_decides_and_nobody_who_would_gain_sight(province, role, status):
    client = province.client(role)

    for name, args in (
        ("link-review", []), ("link-history", []), ("link-pair", [pair().pk])
    ):  # fmt: skip
        assert client.get(reverse(f"sharing:{name}", args=args)).status_code == status
    answer = client.post(
        reverse("sharing:link-decide", args=[pair().pk]), {"verdict": "one", "reason": "seen"}
    )
    assert answer.status_code == (302 if status == 200 else 403)


def test_an_administrator_who_treats_there_too_joins_nobody_and_may_keep_apart(province):
    client = province.client("institution_admin")
    user = User.objects.get(pk=client.session["_auth_user_id"])
    Membership.objects.create(
        user=user, institution=province.east, role="clinician", valid_from=date(2020, 1, 1)
    )
    forget_sights()
    decide = reverse("sharing:link-decide", args=[pair().pk])

    assert client.post(decide, {"verdict": "one", "reason": "mine"}).status_code == 403
    assert pair().state == "open"
    assert not LinkEvent.objects.filter(ground="review").exists()

    client.post(decide, {"verdict": "two", "reason": "different"})
    assert pair().state == "rejected"


def test_another_hospitals_administrator_sees_neither_pair_nor_history(province):
    from tests.support.archive import make_institution

    client = province.client("institution_admin", institution=make_institution("OTHER"))

    assert "empty" in client.get(QUEUE).content.decode()
    assert client.get(reverse("sharing:link-pair", args=[pair().pk])).status_code == 404
    answer = client.post(
        reverse("sharing:link-decide", args=[pair().pk]), {"verdict": "one", "reason": "seen"}
    )
    assert answer.status_code == 404


def test_identities_are_masked_and_the_other_hospitals_even_in_the_birth_date(province):
    text = (
        province.client("institution_admin")
        .get(reverse("sharing:link-pair", args=[pair().pk]))
        .content.decode()
    )

    for hidden in ("张三", "Zhang", "13800005678", "W-12345"):
        assert hidden not in text
    assert "138****5678" in text
    assert "1980-05-06" in text  # of the own hospital's patient
    assert "1980-**-**" in text
    assert "***45" in text
    assert re.search("same name", text)
    for_all = province.client("commission").get(reverse("sharing:link-pair", args=[pair().pk]))
    assert "1980-05-06" not in for_all.content.decode()


def test_a_decision_needs_a_reason_leads_on_and_can_be_taken_back(province):
    client = province.client("institution_admin")
    there = reverse("sharing:link-decide", args=[pair().pk])

    refused = client.post(there, {"verdict": "one", "reason": " "}, follow=True)
    done = client.post(there, {"verdict": "one", "reason": "same passport seen"})

    assert "needs a reason" in refused.content.decode()
    assert done.url == QUEUE  # nothing else waits
    assert len(set(LocalPatient.objects.filter(name__contains="三").values_list("person_id"))) == 1
    history = client.get(reverse("sharing:link-history")).content.decode()
    assert "same passport seen" in history
    event = LinkEvent.objects.get()
    client.post(reverse("sharing:link-undo", args=[event.pk]), {"reason": "two brothers"})
    assert len(set(LocalPatient.objects.filter(name__contains="三").values_list("person_id"))) == 2
    assert "two brothers" in client.get(reverse("sharing:link-history")).content.decode()


def test_the_navigation_says_how_many_wait(province):
    text = province.client("institution_admin").get("/").content.decode()

    assert QUEUE in text
    assert QUEUE not in province.client("radiologist").get("/").content.decode()


def test_the_queue_asks_the_same_number_of_queries_however_long_it_is(
    province, django_assert_max_num_queries
):
    for n in range(12):
        same: dict[str, Any] = {"birth_date": date(1970, 1, 1 + n), "phone": f"1390000{n:04}"}
        registered(province.east, f"E-x{n}", name="=李^四", **same)
        registered(province.west, f"W-x{n}", name="=李^四", **same)
    candidates.compare_due()
    client = province.client("institution_admin")
    client.get(QUEUE)

    with django_assert_max_num_queries(26):
        assert client.get(QUEUE).content.decode().count("data-row") == 13
