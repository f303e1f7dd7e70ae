"""``manage.py rotate_keys``: secrets under the newest key."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from common import privacy
from common.audit.models import AuditEntry
from common.errors import NotPermitted
from hospitals import services
from hospitals.models import Endpoint
from hospitals.services import EndpointSettings
from hospitals.services.origins import origin_config

OLD, NEW = "o" * 40, "n" * 40


def rotate() -> str:
    out = io.StringIO()
    call_command("rotate_keys", stdout=out)
    return out.getvalue()


@pytest.fixture
def secrets_of_two(hospital, other_hospital, settings):
    """H1's secret under an older key than H2's."""
    for key, institution in ((OLD, hospital), (NEW, other_hospital)):
        settings.FIELD_KEYS = (key,)
        services.set_endpoint(
            actor="test",
            institution=institution,
            endpoint=EndpointSettings(
                base_url="http://127.0.0.1:9/dicom-web",
                auth="bearer",
                secret={"token": institution.code},
            ),
        )
    settings.FIELD_KEYS = (NEW, OLD)


def test_after_it_the_older_key_can_be_thrown_away(secrets_of_two, settings):
    said = rotate()

    settings.FIELD_KEYS = (NEW,)
    for endpoint in Endpoint.objects.select_related("institution"):
        assert not privacy.needs_rotation(endpoint.secret)
        assert origin_config(endpoint).secret == {"token": endpoint.institution.code}
    assert "1 secrets were encrypted anew; 1 had the newest key already." in said
    assert AuditEntry.objects.filter(action="endpoint.rotate_secret").count() == 1


def test_a_second_time_it_changes_nothing(secrets_of_two):
    rotate()
    before = list(Endpoint.objects.order_by("pk").values_list("secret", flat=True))

    said = rotate()

    assert list(Endpoint.objects.order_by("pk").values_list("secret", flat=True)) == before
    assert "0 secrets were encrypted anew; 2 had" in said


def test_a_secret_that_no_key_opens_is_named_and_stays(secrets_of_two, settings):
    settings.FIELD_KEYS = ("x" * 40, NEW)
    lost = bytes(Endpoint.objects.get(institution__code="H1").secret)

    with pytest.raises(CommandError, match="H1"):
        rotate()

    assert bytes(Endpoint.objects.get(institution__code="H1").secret) == lost
    assert not privacy.needs_rotation(Endpoint.objects.get(institution__code="H2").secret)


def test_it_is_not_for_everybody(secrets_of_two, make_user, hospital):
    with pytest.raises(NotPermitted):
        services.rotate_secrets(actor=make_user("admin", "institution_admin", hospital))
