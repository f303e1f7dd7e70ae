"""The demo's order-entry system is registered once, and what it sends is taken as everybody's."""

from __future__ import annotations

import pytest

from config import demo_hl7
from sharing.models import Encounter, HospitalMessage, LaunchSystem, MessageSender, Order
from sharing.permissions import forget_sights
from tests.support.archive import make_institution, make_user


@pytest.mark.django_db
def test_the_demos_system_sends_once_and_one_message_fails() -> None:
    home = make_institution("demo")
    make_user("demo-integrator", "integrator", home, is_system=True)
    forget_sights()

    demo_hl7.seed(institution_code="demo")
    demo_hl7.seed(institution_code="demo")

    assert MessageSender.objects.count() == LaunchSystem.objects.count() == 1
    assert Encounter.objects.filter(closed_at=None).count() == 3
    assert set(Order.objects.values_list("modality", flat=True)) == {"CT"}
    assert Order.objects.exclude(encounter=None).count() == 3
    failed = HospitalMessage.objects.get(state="failed")
    assert failed.location == "PID-8"
    assert HospitalMessage.objects.filter(state="done").count() == 6
