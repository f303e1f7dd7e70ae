from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser

from sharing import permissions
from sharing.permissions import Basis, decide, sight_of
from tests.support import archive

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget() -> None:
    permissions.forget_sights()


@pytest.fixture
def places() -> dict[str, Any]:
    consortium = archive.make_consortium("tight")
    codes = {"own": consortium, "partner": consortium, "other": None}
    return {
        code: archive.make_institution(code, consortium=joined) for code, joined in codes.items()
    }


OWN, SHARED = Basis.OWN_INSTITUTION, Basis.CONSORTIUM_AGREEMENT


@pytest.mark.parametrize(
    ("role", "at_own", "at_partner"),
    [
        ("radiologist", OWN, SHARED),
        ("clinician", OWN, SHARED),
        ("integrator", OWN, SHARED),
        ("institution_admin", OWN, None),
        ("commission", None, None),
        ("auditor", None, None),
        ("operator", None, None),
        ("", None, None),
    ],
)
def test_each_role_sees_what_its_basis_allows(
    places: dict[str, Any], role: str, at_own: Basis | None, at_partner: Basis | None
) -> None:
    provincial = role in {"commission", "auditor", "operator", ""}
    user = archive.make_user("somebody", role, None if provincial else places["own"])
    studies = {
        code: archive.make_indexed_study(place, f"1.2.{number}")
        for number, (code, place) in enumerate(places.items())
    }

    bases = {code: decide(user, study).basis for code, study in studies.items()}

    assert bases == {"own": at_own, "partner": at_partner, "other": None}
    assert bool(decide(user, studies["own"])) is (at_own is not None)


def test_superusers_and_operators_see_the_operation_and_no_picture(places: dict[str, Any]) -> None:
    root = archive.make_user("root", is_superuser=True)
    operator = archive.make_user("operator", "operator")

    assert sight_of(root).operation
    assert sight_of(operator).operation
    assert not sight_of(root).institution_ids
    assert not sight_of(operator).institution_ids


def test_strangers_and_closed_accounts_see_nothing(places: dict[str, Any]) -> None:
    closed = archive.make_user("closed", "radiologist", places["own"], is_active=False)

    assert sight_of(closed) == permissions.NOTHING
    assert sight_of(AnonymousUser()) == permissions.NOTHING


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "sees"),
    [
        pytest.param(date(2020, 1, 1), None, True, id="open end"),
        pytest.param(date(2020, 1, 1), date(2021, 1, 1), False, id="over"),
        pytest.param(date(2999, 1, 1), None, False, id="not begun"),
    ],
)
def test_a_membership_counts_while_it_is_in_force(
    places: dict[str, Any], valid_from: date, valid_until: date | None, sees: bool
) -> None:
    user = archive.make_user("somebody")
    apps.get_model("hospitals", "Membership").objects.create(
        user=user,
        role="clinician",
        institution=places["own"],
        valid_from=valid_from,
        valid_until=valid_until,
    )

    assert (places["own"].pk in sight_of(user).institution_ids) is sees


def test_an_institution_that_left_shares_no_longer(places: dict[str, Any]) -> None:
    user = archive.make_user("somebody", "radiologist", places["own"])
    places["partner"].state, places["partner"].state_reason = "left", "closed"
    places["partner"].save()

    assert sight_of(user).institution_ids == {places["own"].pk}


@pytest.mark.parametrize(
    ("own_state", "partner_state", "at_own", "at_partner"),
    [
        pytest.param("active", "active", OWN, SHARED, id="both active"),
        pytest.param("onboarding", "active", OWN, SHARED, id="still onboarding"),
        pytest.param("suspended", "active", OWN, None, id="own suspended (policy I5)"),
        pytest.param("active", "suspended", OWN, SHARED, id="partner suspended (policy I5)"),
        pytest.param("suspended", "suspended", OWN, None, id="both suspended"),
        pytest.param("left", "active", OWN, None, id="own left"),
        pytest.param("active", "left", OWN, None, id="partner left"),
        pytest.param("suspended", "left", OWN, None, id="own suspended, partner left"),
    ],
)
@pytest.mark.parametrize("role", ["radiologist", "clinician", "integrator"])
def test_the_states_of_both_sides_decide_what_is_shared(
    places: dict[str, Any],
    role: str,
    own_state: str,
    partner_state: str,
    at_own: Basis | None,
    at_partner: Basis | None,
) -> None:
    user = archive.make_user("somebody", role, places["own"])
    for code, state in (("own", own_state), ("partner", partner_state)):
        places[code].state = state
        places[code].state_reason = "why" if state in {"suspended", "left"} else ""
        places[code].save()

    bases = {code: sight_of(user).basis_at(place.pk) for code, place in places.items()}

    assert bases == {"own": at_own, "partner": at_partner, "other": None}


def test_a_withdrawn_right_works_within_five_seconds(
    places: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = archive.make_user("somebody", "radiologist", places["own"])
    before = sight_of(user)
    user.memberships.all().delete()
    clock = permissions.sights._kept._values[user.pk][0] + 4.9
    monkeypatch.setattr("common.kept.time.monotonic", lambda: clock)

    after = sight_of(user)

    assert before.institution_ids
    assert not after.institution_ids


def test_the_decision_costs_no_query_while_it_is_kept(
    places: dict[str, Any], django_assert_num_queries: Any
) -> None:
    """Who treats nobody costs one query; each kind of reason beyond costs a reader of images one or two."""
    system = archive.make_user("system", "integrator", places["own"])
    user = archive.make_user("somebody", "radiologist", places["own"])
    with django_assert_num_queries(1):
        sight_of(system)
    with django_assert_num_queries(7):
        sight_of(user)

    with django_assert_num_queries(0):
        sight_of(user)
