"""Oversight by grant: of an institution, a consortium or a region; records and counts, and no examination."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from guardian.models import GroupObjectPermission, UserObjectPermission

from common.audit.models import AuditEntry
from common.errors import NotPermitted
from hospitals import selectors
from hospitals.errors import FieldInvalid
from hospitals.models import Institution, Region
from hospitals.permissions import overseen_ids
from hospitals.services.grants import grant_oversight, revoke_oversight
from sharing.permissions import decide, forget_sights, sight_of
from sharing.selectors.overview import reach_of
from tests.support import access, archive

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> dict[str, Any]:
    forget_sights()
    consortium = archive.make_consortium("tight")
    first = archive.make_institution("first", consortium=consortium)
    second = archive.make_institution("second", consortium=consortium)
    county = Region.objects.create(code="420102", name="江岸区", parent=first.region)
    third = Institution.objects.create(code="third", name="third", region=county, state="active")
    return {
        "institution": first, "consortium": consortium, "region": first.region, "county": county,
        "second": second, "third": third, "user": archive.make_user("bureau"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("of", "seen"),
    [
        ("institution", {"first"}),
        ("consortium", {"first", "second"}),
        ("region", {"first", "second", "third"}),
        ("county", {"third"}),
    ],
)
def test_a_grant_shows_the_record_of_what_it_covers_until_it_is_revoked(
    world: dict[str, Any], of: str, seen: set[str]
) -> None:
    user = world["user"]
    assert grant_oversight(actor="test", user=user, of=world[of])
    assert not grant_oversight(actor="test", user=user, of=world[of])

    found = selectors.visible_institutions(actor=user)
    assert {each.code for each in found} == seen
    assert {each.pk for each in found} == overseen_ids(user) == reach_of(user).institution_ids

    assert revoke_oversight(actor="test", user=user, of=world[of])
    assert not revoke_oversight(actor="test", user=user, of=world[of])
    assert not selectors.visible_institutions(actor=user)
    noted = AuditEntry.objects.filter(action__startswith="grant.").order_by("pk")
    assert [each.action for each in noted] == ["grant.give", "grant.revoke"]


def test_a_grant_opens_no_examination(world: dict[str, Any]) -> None:
    patient = access.make_patient(world["institution"], "1")
    study = access.make_study(patient, "1.2")
    grant_oversight(actor="test", user=world["user"], of=world["region"])

    assert not decide(world["user"], study)
    assert not sight_of(world["user"]).sees_something


@pytest.mark.parametrize("role", ["institution_admin", "radiologist", "operator", "auditor", ""])
def test_only_the_commission_grants(world: dict[str, Any], role: str) -> None:
    local = role in {"institution_admin", "radiologist"}
    actor = archive.make_user("somebody", role, world["institution"] if local else None)

    for act in (grant_oversight, revoke_oversight):
        with pytest.raises(NotPermitted):
            act(actor=actor, user=world["user"], of=world["institution"])


def test_nothing_else_can_be_granted_and_no_table_grows_with_the_studies(
    world: dict[str, Any],
) -> None:
    """DESIGN section 7: never one row per study in the generic tables."""
    home, far = world["institution"], world["third"]
    reader = archive.make_user("reader", "clinician", home)
    for number in range(20):
        patient = access.make_patient(far, str(number))
        study: Any = access.make_study(patient, f"1.2.{number}")
        access.open_encounter(home, patient.person)
        access.give_consent(home, patient, study_instance_uids=[study.study_instance_uid])
        access.break_glass(reader, home, patient)
    forget_sights()
    assert decide(reader, study)

    with pytest.raises(FieldInvalid):
        grant_oversight(actor="test", user=world["user"], of=study)

    assert not UserObjectPermission.objects.exists()
    assert not GroupObjectPermission.objects.exists()
    grant_oversight(actor="test", user=world["user"], of=home)
    [row] = UserObjectPermission.objects.all()
    assert row.content_type == ContentType.objects.get_for_model(Institution)


def test_the_command_grants_lists_and_revokes(world: dict[str, Any]) -> None:
    out = StringIO()
    call_command("oversight", "grant", "bureau", "consortium", "tight")
    call_command("oversight", "list", "bureau", stdout=out)
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["first", "second"]

    call_command("oversight", "revoke", "bureau", "consortium", "tight")
    assert not overseen_ids(world["user"])
    with pytest.raises(CommandError):
        call_command("oversight", "grant", "nobody", "consortium", "tight")
    with pytest.raises(CommandError):
        call_command("oversight", "grant", "bureau", "region", "000000")
