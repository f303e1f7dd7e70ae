"""The demo's patients: one joined by resident ID, one pair that waits for a reader."""

from __future__ import annotations

import pytest

from config import demo_patients
from sharing.models import LinkCandidate, LinkEvent, LocalPatient
from tests.support.archive import make_institution

pytestmark = pytest.mark.django_db


def test_one_is_joined_one_waits_and_a_second_start_changes_nothing():
    for code in ("university", "county", "township"):
        make_institution(code)
    places = {"university": "university", "county": "county", "township": "township"}

    demo_patients.seed(**places)
    demo_patients.seed(**places)

    assert LinkEvent.objects.get().ground == "resident-id"
    li = LocalPatient.objects.filter(name__contains="李")
    assert len(set(li.values_list("person_id", flat=True))) == 1
    pair = LinkCandidate.objects.get()
    assert {"name-same", "birth-date-same", "phone-same"} <= set(pair.grounds)
