"""Launches: an order-entry system asks for the address of one patient's time line."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sharing.api.retrieval import actor_of
from sharing.services import launching


class ClinicianSerializer(serializers.Serializer[Any]):
    """In whose name is looked; the audit keeps it."""

    number = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=100)


class LaunchRequestSerializer(serializers.Serializer[Any]):
    """Whom, to whom, what for. The patient by its number at the institution, or by the number of an open visit."""

    patient_number = serializers.CharField(required=False, allow_blank=True, max_length=128)
    visit_number = serializers.CharField(required=False, allow_blank=True, max_length=64)
    clinician = ClinicianSerializer()
    purpose = serializers.CharField(max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("patient_number") and not attrs.get("visit_number"):
            raise serializers.ValidationError("Name the patient or the visit.")
        return attrs


class LaunchSerializer(serializers.Serializer[Any]):
    """Where to send the browser, once and soon. The address names nobody."""

    url = serializers.URLField()
    open_before = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class LaunchesView(APIView):
    """``POST /api/v1/launches``."""

    @extend_schema(request=LaunchRequestSerializer, responses={201: LaunchSerializer})
    def post(self, request: Request) -> Response:
        """Ask for a one-time address. 409 when the patient has no open encounter at the institution."""
        given = LaunchRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        asked = launching.ask(
            actor=actor_of(request),
            wanted=launching.Request(
                clinician_number=values["clinician"]["number"],
                clinician_name=values["clinician"]["name"],
                purpose=values["purpose"],
                patient_number=values.get("patient_number", ""),
                visit_number=values.get("visit_number", ""),
            ),
        )
        path = reverse("sharing:launch", args=[asked.code])
        answer = {
            "url": request.build_absolute_uri(path),
            "open_before": asked.launch.open_before,
            "ends_at": asked.launch.expires_at,
        }
        return Response(LaunchSerializer(answer).data, status.HTTP_201_CREATED)
