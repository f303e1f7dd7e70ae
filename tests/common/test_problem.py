"""Errors on the wire: problem documents, DICOMweb bodies, pages."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from common import problem
from common.errors import DomainError, Kind, NotFound, NotPermitted


class HospitalSuspended(DomainError):
    """The hospital is suspended."""

    code = "hospital-suspended"
    kind = Kind.CONFLICT


class OriginBusy(DomainError):
    """The hospital is busy."""

    code = "origin-busy"
    kind = Kind.UPSTREAM
    retry_after_s = 7.5


class Form(serializers.Serializer):
    age = serializers.IntegerField()


def invalid_form():
    form = Form(data={"age": "x"})
    form.is_valid()
    return exceptions.ValidationError(form.errors)


def answer_of(error):
    class Raising(APIView):
        authentication_classes = ()
        permission_classes = ()

        def get(self, request):
            raise error

    response = Raising.as_view()(APIRequestFactory().get("/api/v1/x"))
    return response.render()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound(), 404, "not-found"),
        (NotPermitted(), 403, "not-permitted"),
        (HospitalSuspended(), 409, "hospital-suspended"),
        (OriginBusy(), 502, "origin-busy"),
        (DomainError("no"), 400, "error"),
        (Http404("secret"), 404, "not-found"),
        (PermissionDenied("secret"), 403, "not-permitted"),
        (exceptions.MethodNotAllowed("GET"), 405, "method-not-allowed"),
        (exceptions.Throttled(wait=9), 429, "throttled"),
        (invalid_form(), 400, "invalid"),
    ],
)
def test_every_refusal_of_the_api_is_a_problem_document(error, status, code):
    response = answer_of(error)

    body = json.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == "about:blank"
    assert body["title"]
    assert "secret" not in response.content.decode()


def test_every_kind_has_a_status():
    assert set(problem._STATUS) == set(Kind)


def test_a_problem_says_when_to_come_back_and_which_field_is_wrong():
    assert answer_of(OriginBusy())["Retry-After"] == "7"
    assert answer_of(exceptions.Throttled(wait=9))["Retry-After"] == "9"
    assert "age" in json.loads(answer_of(invalid_form()).content)["facts"]["fields"]


def test_facts_of_a_refusal_are_told():
    body = json.loads(answer_of(HospitalSuspended("closed", since="2026-01-31")).content)

    assert body["detail"] == "closed"
    assert body["facts"] == {"since": "2026-01-31"}


def test_a_fault_is_not_disguised_as_a_refusal():
    assert problem.handle_api_error(ValueError(), {}) is None


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/dicom+json", "application/problem+json"),
        ('multipart/related; type="application/dicom"', "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
    ],
)
def test_a_dicomweb_error_always_has_a_content_type_and_a_body(rf, accept, content_type):
    request = rf.get("/dicom-web/studies/1.2", headers={"accept": accept} if accept else {})

    response = problem.dicomweb_error(request, 404, "There is no such study.")

    assert response.status_code == 404
    assert response["Content-Type"] == content_type
    assert response["Vary"] == "Accept"
    assert b"There is no such study." in response.content


@pytest.mark.parametrize(
    ("path", "accept", "page"),
    [
        ("/", "text/html", True),
        ("/studies/", "*/*", True),
        ("/api/v1/docs", "text/html,*/*", True),
        ("/api/v1/studies", "*/*", False),
        ("/dicom-web/studies", "text/html", False),
        ("/wado", "text/html", False),
        ("/metrics", "", False),
    ],
)
def test_who_reads_the_answer_follows_from_the_address(rf, path, accept, page):
    assert problem.is_page(rf.get(path, headers={"accept": accept})) is page


@pytest.mark.django_db
def test_a_refusal_of_a_page_is_a_page(rf):
    request = rf.get("/studies/")

    response = problem.domain_error_response(request, HospitalSuspended())

    assert response.status_code == 409
    assert response["Content-Type"].startswith("text/html")
    assert "The hospital is suspended." in response.content.decode()


def test_an_answer_that_is_no_error_stays_as_it_is():
    class Fine(APIView):
        authentication_classes = ()
        permission_classes = ()

        def get(self, request):
            return Response({"ok": True})

    response = Fine.as_view()(APIRequestFactory().get("/api/v1/x")).render()

    assert response["Content-Type"] == "application/json"
