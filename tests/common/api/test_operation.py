"""Addresses for operators."""

from __future__ import annotations

import threading
import time

import pytest
from django.urls import include, path

from common.accounts.models import User
from common.api import operation

urlpatterns = [path("", include("common.api.urls"))]
pytestmark = pytest.mark.urls(__name__)


def test_a_living_process_says_so_without_asking_anything(client, django_assert_num_queries):
    response = client.get("/healthz")

    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db(transaction=True)
def test_ready_names_each_service(client, settings, monkeypatch):
    monkeypatch.setattr(operation, "_object_store", lambda: None)
    checks = (*operation.CHECKS[:2], operation.Check("object_store", lambda: None))
    monkeypatch.setattr(operation.ask_all, "__defaults__", (checks,))

    response = client.get("/readyz")

    assert response.json() == {
        "ready": True,
        "checks": {"database": "ok", "redis": "ok", "object_store": "ok"},
    }
    assert response.status_code == 200


def test_a_redis_that_is_away_is_named_and_answers_503(client, settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # nothing listens there
    checks = (
        operation.Check("database", lambda: None),
        operation.Check("redis", operation._redis),
        operation.Check("object_store", lambda: None),
    )
    monkeypatch.setattr(operation.ask_all, "__defaults__", (checks,))

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "checks": {"database": "ok", "redis": "ConnectionError", "object_store": "ok"},
    }
    assert "127.0.0.1" not in response.content.decode()


def test_a_service_that_hangs_is_told_in_time_and_asked_once(monkeypatch):
    monkeypatch.setattr(operation, "PATIENCE_S", 0.1)
    release, asked = threading.Event(), []

    def hang():
        asked.append(1)
        release.wait(10)

    hanging = operation.Check("redis", hang)
    began = time.monotonic()

    first = operation.ask_all((hanging,))
    second = operation.ask_all((hanging,))

    assert time.monotonic() - began < 2
    assert [outcome.reason for outcome in first + second] == ["no answer in time"] * 2
    assert asked == [1]
    release.set()


def test_figures_are_given_to_this_machine(client):
    response = client.get("/metrics")

    assert response.status_code == 200
    assert b"imaging_request_seconds" in response.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers", [{"REMOTE_ADDR": "192.0.2.1"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}]
)
def test_figures_are_not_given_to_others_unless_they_are_systems(client, headers):
    assert client.get("/metrics", **headers).status_code == 403

    client.force_login(User.objects.create_user("doctor"))
    assert client.get("/metrics", **headers).status_code == 403

    client.force_login(User.objects.create_user("prometheus", is_system=True))
    assert client.get("/metrics", **headers).status_code == 200


def test_requests_are_counted_by_route_and_never_by_path(client):
    client.get("/healthz")
    client.get("/nowhere/990101200001010014")

    text = client.get("/metrics").content.decode()
    assert 'route="healthz"' in text
    assert 'route="unmatched"' in text
    assert "990101200001010014" not in text
