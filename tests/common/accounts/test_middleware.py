"""Closed by default, and what a stranger is told."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.views import View
from django.views.i18n import set_language
from rest_framework.response import Response
from rest_framework.views import APIView

from common.accounts import tokens
from common.accounts.models import User
from common.accounts.public import public


def whoami(request):
    return JsonResponse({"user": request.user.get_username()})


@public
def open_view(request):
    return HttpResponse("open")


class OpenClass(View):
    is_public = True

    def get(self, request):
        return HttpResponse("open")


class RestView(APIView):
    def get(self, request):
        return Response({"user": request.user.get_username(), "bearer": request.auth is not None})

    post = get


urlpatterns = [
    path("accounts/", include("common.accounts.urls")),
    path("i18n/language/", public(set_language), name="set_language"),
    path("page/", whoami),
    path("open/", open_view),
    path("open-class/", OpenClass.as_view()),
    path("dicom-web/studies", whoami),
    path("api/v1/rest", RestView.as_view()),
    path("api/v1/plain", whoami),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _nothing_remembered():
    tokens.remembered.clear()


@pytest.fixture
def user(db):
    return User.objects.create_user("his", password="a-long-pass-phrase")


@pytest.fixture
def bearer(user):
    return {"HTTP_AUTHORIZATION": f"Bearer {tokens.create_token(actor='test', user=user)}"}


def test_a_stranger_at_a_page_gets_the_log_in_page_and_comes_back(client):
    response = client.get("/page/?a=1")

    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/page/%3Fa%3D1"


def test_a_strangers_fragment_request_goes_to_the_log_in_page_as_a_whole(client):
    response = client.get("/page/", HTTP_HX_REQUEST="true")

    assert (response.status_code, response["HX-Redirect"]) == (401, "/accounts/login/")


@pytest.mark.parametrize("address", ["/api/v1/rest", "/api/v1/plain", "/dicom-web/studies"])
@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"HTTP_AUTHORIZATION": "Bearer nonsense"},
        {"HTTP_AUTHORIZATION": "Basic eDp5"},
    ],
)
def test_a_stranger_at_an_interface_gets_401_with_a_challenge_and_a_type(
    client, address, credentials
):
    response = client.get(address, **credentials)

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response["Content-Type"] in {"application/problem+json", "text/plain; charset=utf-8"}
    assert ("invalid_token" in response["WWW-Authenticate"]) == ("nonsense" in str(credentials))


@pytest.mark.parametrize(
    "address", ["/page/", "/api/v1/rest", "/api/v1/plain", "/dicom-web/studies"]
)
def test_a_token_opens_plain_views_and_rest_views(client, bearer, address):
    response = client.get(address, **bearer)

    assert response.status_code == 200
    assert response.json()["user"] == "his"


def test_a_token_needs_no_csrf_token_and_a_session_does(user, bearer):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/api/v1/rest", **bearer).status_code == 200
    assert strict.post("/page/", **bearer).status_code == 200

    strict.force_login(user)
    assert strict.post("/page/").status_code == 403
    assert strict.post("/api/v1/rest").status_code == 403


def test_a_refused_token_does_not_fall_back_to_the_session(client, user):
    client.force_login(user)

    assert client.get("/page/").status_code == 200
    assert client.get("/page/", HTTP_AUTHORIZATION="Bearer nonsense").status_code == 401


def test_a_reading_token_reads_and_does_not_write(client, user):
    text = tokens.create_token(actor="test", user=user, scope="read")

    assert client.get("/api/v1/rest", HTTP_AUTHORIZATION=f"Bearer {text}").status_code == 200
    refused = client.post("/api/v1/rest", HTTP_AUTHORIZATION=f"Bearer {text}")
    assert (refused.status_code, refused.json()["code"]) == (403, "token-reads-only")


@pytest.mark.parametrize("address", ["/open/", "/open-class/", "/accounts/login/"])
def test_public_views_are_open(client, address):
    assert client.get(address).status_code == 200


def test_a_closed_account_ends_its_session_at_once(client, user):
    client.force_login(user)
    User.objects.update(is_active=False)

    assert client.get("/page/").status_code == 302


def test_a_password_to_be_changed_comes_first(client, user, monkeypatch):
    # This URL map has no pages of other modules, whose links may have been announced before.
    monkeypatch.setattr("common.ui.navigation._entries", {})
    User.objects.update(must_change_password=True)
    client.force_login(user)

    assert client.get("/page/")["Location"] == "/accounts/password/"
    assert client.get("/accounts/password/").status_code == 200

    changed = client.post(
        "/accounts/password/",
        {
            "old_password": "a-long-pass-phrase",
            "new_password1": "another-long-pass-phrase",
            "new_password2": "another-long-pass-phrase",
        },
    )
    assert changed.status_code == 302
    assert client.get("/page/").json() == {"user": "his"}


@pytest.mark.parametrize("address", ["/api/v1/rest", "/api/v1/plain", "/dicom-web/studies"])
def test_a_one_time_password_opens_no_interface_either(client, user, address):
    User.objects.update(must_change_password=True)
    client.force_login(user)

    assert client.get(address).status_code == 403


def test_strangers_are_nobody_in_public_views(client):
    assert isinstance(client.get("/open/").wsgi_request.user, AnonymousUser)
