"""Every connected hospital is measured again by itself."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from hospitals import services
from hospitals.models import Endpoint, Institution, Probe, Region

pytestmark = pytest.mark.django_db


@pytest.fixture
def institution(tmp_path) -> Institution:
    region = Region.objects.create(code="420000", name="湖北省")
    found = Institution.objects.create(code="h1", name="一院", region=region, state="active")
    Endpoint.objects.create(institution=found, kind="folder", folder=str(tmp_path))
    return found


def probed(institution: Institution, *, reachable: bool, ago: dt.timedelta) -> None:
    probe = Probe.objects.create(
        endpoint=institution.endpoint,
        reachable=reachable,
        error_code="" if reachable else "origin-unreachable",
        error_text="" if reachable else "Nobody answers.",
    )
    Probe.objects.filter(pk=probe.pk).update(at=timezone.now() - ago)


def test_a_hospital_that_was_never_probed_is_due(institution) -> None:
    assert services.ask_for_due_probes() == 1
    assert services.probe_if_due(institution_id=institution.pk)
    assert institution.endpoint.probes.get().reachable


def test_a_second_wake_up_probes_nothing_again(institution) -> None:
    services.probe_if_due(institution_id=institution.pk)

    assert not services.probe_if_due(institution_id=institution.pk)
    assert institution.endpoint.probes.count() == 1


@pytest.mark.parametrize(
    ("reachable", "ago", "due"),
    [
        (True, dt.timedelta(hours=23), 0),
        (True, dt.timedelta(hours=25), 1),
        (False, dt.timedelta(minutes=10), 0),
        (False, dt.timedelta(minutes=20), 1),
    ],
)
def test_a_reached_hospital_is_due_after_a_day_and_an_unreached_one_sooner(
    institution, reachable, ago, due
) -> None:
    probed(institution, reachable=reachable, ago=ago)

    assert services.ask_for_due_probes() == due


@pytest.mark.parametrize("state", ["suspended", "left"])
def test_a_hospital_that_is_suspended_or_has_left_is_not_asked(institution, state) -> None:
    Institution.objects.filter(pk=institution.pk).update(state=state, state_reason="test")

    assert services.ask_for_due_probes() == 0
