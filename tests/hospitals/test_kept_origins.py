"""A connection is kept from one series to the next, and never beyond what it was opened with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hospitals import errors, services
from hospitals.models import Endpoint
from hospitals.services import kept_origins
from hospitals.services.endpoints import EndpointSettings

URL = "https://192.0.2.10/dicom-web"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_left():
    yield
    kept_origins.drop()


@pytest.fixture
def hospital(region):
    found = services.add_institution(actor="test", code="H1", name="H1", region=region)
    set_endpoint(found, token="first")
    services.activate(actor="test", code="H1")
    return found


def set_endpoint(hospital, *, token):
    services.set_endpoint(
        actor="test",
        institution=hospital,
        endpoint=EndpointSettings(base_url=URL, auth="bearer", secret={"token": token}),
    )


def opened(hospital, *, keep=True):
    with services.open_origin(institution_id=hospital.pk, keep=keep) as origin:
        return origin


def test_the_next_call_goes_on_with_the_same_origin(hospital):
    first = opened(hospital)

    assert opened(hospital) is first


def test_without_keep_each_call_has_its_own(hospital):
    kept = opened(hospital)

    assert opened(hospital, keep=False) is not kept


def test_a_new_secret_holds_at_once(hospital):
    first = opened(hospital)
    set_endpoint(hospital, token="second")

    second = opened(hospital)

    assert second is not first
    assert second.config.secret == {"token": "second"}


def test_a_secret_changed_beside_the_services_holds_too(hospital):
    first = opened(hospital)
    Endpoint.objects.update(secret=None, auth="none")

    assert opened(hospital) is not first


def test_a_suspended_institution_is_not_asked_over_the_kept_connection(hospital):
    opened(hospital)
    services.suspend(actor="test", code="H1", reason="move")

    with pytest.raises(errors.HospitalSuspended):
        opened(hospital)


@pytest.mark.parametrize("limit", ["IDLE_S", "AGE_S"])
def test_an_idle_or_old_one_is_closed(hospital, monkeypatch, limit):
    first = opened(hospital)
    closed = []
    monkeypatch.setattr(first, "close", lambda: closed.append(True))
    monkeypatch.setattr(kept_origins, limit, -1.0)

    assert opened(hospital) is not first
    assert closed == [True]


def test_one_that_failed_is_not_kept(hospital):
    with (
        pytest.raises(ZeroDivisionError),
        services.open_origin(institution_id=hospital.pk, keep=True) as first,
    ):
        raise ZeroDivisionError

    assert opened(hospital) is not first


def test_two_at_once_are_two(hospital):
    with services.open_origin(institution_id=hospital.pk, keep=True) as outer:
        assert opened(hospital) is not outer


def test_each_thread_has_its_own(hospital):
    opened(hospital)
    endpoint = Endpoint.objects.get()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(kept_origins.take, endpoint).result() is None
    assert kept_origins.take(endpoint) is not None
