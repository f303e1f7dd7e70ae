from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from common.errors import NotFound
from sharing import permissions, selectors
from sharing.errors import NotPulledYet
from tests.support import archive

pytestmark = pytest.mark.django_db

UID = "1.2.3"


@pytest.fixture(autouse=True)
def _forget() -> None:
    permissions.forget_sights()
    selectors.forget_places()


@pytest.fixture
def places() -> dict[str, Any]:
    consortium = archive.make_consortium("tight")
    codes = {"own": consortium, "partner": consortium, "other": None}
    return {
        code: archive.make_institution(code, consortium=joined) for code, joined in codes.items()
    }


@pytest.fixture
def reader(places: dict[str, Any]) -> Any:
    return archive.make_user("reader", "radiologist", places["own"])


def test_lists_hold_what_the_actor_may_see(places: dict[str, Any], reader: Any) -> None:
    for number, place in enumerate(places.values()):
        archive.make_indexed_study(place, f"1.2.{number}")

    everywhere = selectors.visible_studies(reader)
    at_partner = selectors.visible_studies(reader, institution_code="partner")
    at_other = selectors.visible_studies(reader, institution_code="other")

    assert {study.institution.code for study in everywhere} == {"own", "partner"}
    assert [study.institution.code for study in at_partner] == ["partner"]
    assert not at_other


def test_absent_and_hidden_look_the_same(places: dict[str, Any], reader: Any) -> None:
    archive.make_indexed_study(places["other"], UID)

    with pytest.raises(NotFound) as hidden:
        selectors.get_visible_study(actor=reader, study_instance_uid=UID)
    with pytest.raises(NotFound) as absent:
        selectors.get_visible_study(actor=reader, study_instance_uid="9.9")

    assert hidden.value.message == absent.value.message
    assert type(hidden.value) is type(absent.value)


def test_the_primary_copy_is_the_one_archived_first(places: dict[str, Any], reader: Any) -> None:
    now = timezone.now()
    archive.make_indexed_study(places["own"], UID)
    archive.make_indexed_study(places["partner"], UID, archived_at=now)
    archive.make_indexed_study(places["other"], UID, archived_at=now - timedelta(days=1))

    primary = selectors.get_visible_study(actor=reader, study_instance_uid=UID)
    named = selectors.get_visible_study(
        actor=reader, study_instance_uid=UID, institution_code="own"
    )

    assert primary.institution.code == "partner"
    assert named.institution.code == "own"
    assert selectors.copies_of(reader, [UID]) == {UID: ["partner", "own"]}


def test_a_series_of_a_study_that_was_not_pulled_is_said_to_be_so(
    places: dict[str, Any], reader: Any
) -> None:
    archive.make_indexed_study(places["own"], UID)

    with pytest.raises(NotPulledYet):
        selectors.place_series(actor=reader, study_instance_uid=UID, series_instance_uid="1.2.3.4")


def test_a_place_is_asked_for_once_and_gone_when_the_right_is(
    places: dict[str, Any], reader: Any, django_assert_num_queries: Any
) -> None:
    archive.make_indexed_study(places["own"], UID)
    place = selectors.place_study(actor=reader, study_instance_uid=UID)
    with django_assert_num_queries(0):
        again = selectors.place_study(actor=reader, study_instance_uid=UID)
    reader.memberships.all().delete()
    permissions.forget_sights()

    with pytest.raises(NotFound):
        selectors.place_study(actor=reader, study_instance_uid=UID)

    assert place == again
    assert place.basis == permissions.Basis.OWN_INSTITUTION
