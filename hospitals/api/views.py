"""REST of regions, consortia, institutions and endpoints under ``/api/v1/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.fields import ChoiceField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hospitals import selectors, services
from hospitals.api import serializers
from hospitals.errors import EndpointMissing
from hospitals.models import Consortium, Institution, Region
from hospitals.services import EndpointSettings

SORTABLE = ("code", "name", "state", "level", "created_at")
SORTS = [sign + column for column in SORTABLE for sign in ("", "-")]
CHOICES: dict[str, list[str]] = {
    "state": Institution.State.values,
    "level": Institution.Level.values,
    "kind": Institution.Kind.values,
}


class RegionsView(generics.ListAPIView[Region]):
    """``GET /api/v1/regions``; ``POST``: add one (commission)."""

    serializer_class = serializers.RegionSerializer

    def get_queryset(self) -> QuerySet[Region]:
        return selectors.regions()

    @extend_schema(
        request=serializers.RegionSerializer, responses={201: serializers.RegionSerializer}
    )
    def post(self, request: Request) -> Response:
        """Add a region."""
        given = serializers.RegionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        region = services.add_region(actor=request.user, **given.validated_data)
        return Response(serializers.RegionSerializer(region).data, status.HTTP_201_CREATED)


class ConsortiaView(generics.ListAPIView[Consortium]):
    """``GET /api/v1/consortia``; ``POST``: add one (commission)."""

    serializer_class = serializers.ConsortiumSerializer

    def get_queryset(self) -> QuerySet[Consortium]:
        return selectors.consortia()

    @extend_schema(
        request=serializers.ConsortiumSerializer, responses={201: serializers.ConsortiumSerializer}
    )
    def post(self, request: Request) -> Response:
        """Add a consortium."""
        given = serializers.ConsortiumSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        consortium = services.add_consortium(actor=request.user, **given.validated_data)
        return Response(serializers.ConsortiumSerializer(consortium).data, status.HTTP_201_CREATED)


def _parameter(name: str, text: str, *, enum: Sequence[str] | None = None) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, description=text, enum=enum)


def _or_empty(values: Sequence[str] | None) -> list[str] | None:
    """An empty value chooses nothing: forms send one for every field."""
    return [*values, ""] if values else None


def _one_of(name: str, given: Mapping[str, str], allowed: Sequence[str]) -> str:
    """The value of a parameter, empty for none.

    Raises:
        ValidationError: it is none of these; an empty list would look like an answer.
    """
    field = ChoiceField(choices=allowed, allow_blank=True)
    try:
        return str(field.run_validation(given.get(name, "")))
    except ValidationError as error:
        raise ValidationError({name: error.detail}) from error


class InstitutionsView(generics.ListAPIView[Institution]):
    """``GET /api/v1/institutions``; ``POST``: add one (commission)."""

    serializer_class = serializers.InstitutionSerializer
    filters: ClassVar[dict[str, str]] = {
        "state": "state",
        "region": "region__code",
        "consortium": "consortium__code",
        "level": "level",
        "kind": "kind",
    }

    def get_queryset(self) -> QuerySet[Institution]:
        query = self.request.query_params
        rows = selectors.visible_institutions(
            actor=self.request.user, search=query.get("search", "")
        )
        for name, allowed in CHOICES.items():
            _one_of(name, query, allowed)
        chosen = {column: query[name] for name, column in self.filters.items() if query.get(name)}
        return rows.filter(**chosen).order_by(_one_of("sort", query, SORTS) or "code", "pk")

    @extend_schema(
        parameters=[
            _parameter("search", "in code and name; a credit code as a whole"),
            *(
                _parameter(name, "only these", enum=_or_empty(CHOICES.get(name)))
                for name in filters
            ),
            _parameter("sort", "with - before it downwards", enum=_or_empty(SORTS)),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The institutions that the caller may see."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        request=serializers.InstitutionSerializer,
        responses={201: serializers.InstitutionSerializer},
    )
    def post(self, request: Request) -> Response:
        """Add an institution, onboarding and without an endpoint."""
        given = serializers.InstitutionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        institution = services.add_institution(actor=request.user, **given.validated_data)
        return Response(
            serializers.InstitutionSerializer(institution).data, status.HTTP_201_CREATED
        )


class InstitutionView(APIView):
    """``/api/v1/institutions/{code}``."""

    @extend_schema(responses=serializers.InstitutionSerializer)
    def get(self, request: Request, code: str) -> Response:
        """One institution."""
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        return Response(serializers.InstitutionSerializer(institution).data)

    @extend_schema(
        request=serializers.InstitutionChangeSerializer,
        responses=serializers.InstitutionSerializer,
    )
    def patch(self, request: Request, code: str) -> Response:
        """Change what is given (commission)."""
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        given = serializers.InstitutionChangeSerializer(
            institution, data=request.data, partial=True
        )
        given.is_valid(raise_exception=True)
        changed = services.update_institution(actor=request.user, code=code, **given.validated_data)
        return Response(serializers.InstitutionSerializer(changed).data)


class EndpointView(APIView):
    """``/api/v1/institutions/{code}/endpoint``."""

    @extend_schema(responses=serializers.EndpointSerializer)
    def get(self, request: Request, code: str) -> Response:
        """Where its archive answers; never the secret."""
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        if not hasattr(institution, "endpoint"):
            raise EndpointMissing
        return Response(serializers.EndpointSerializer(institution.endpoint).data)

    @extend_schema(
        request=serializers.EndpointSettingsSerializer, responses=serializers.EndpointSerializer
    )
    def put(self, request: Request, code: str) -> Response:
        """Set or replace it (commission, or the institution's administrator or integrator)."""
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        given = serializers.EndpointSettingsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        endpoint = services.set_endpoint(
            actor=request.user,
            institution=institution,
            endpoint=EndpointSettings(**given.validated_data),
        )
        return Response(serializers.EndpointSerializer(endpoint).data)


class ProbesView(APIView):
    """``/api/v1/institutions/{code}/probes``."""

    @extend_schema(responses=serializers.ProbeSerializer(many=True))
    def get(self, request: Request, code: str) -> Response:
        """The newest probes, newest first."""
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        probes = selectors.list_probes(institution_id=institution.pk)
        return Response(serializers.ProbeSerializer(probes, many=True).data)

    @extend_schema(request=None, responses={201: serializers.ProbeSerializer})
    def post(self, request: Request, code: str) -> Response:
        """Measure now; a failed probe is a result too."""
        institution = selectors.get_visible_institution(actor=request.user, code=code)
        probe = services.probe(actor=request.user, institution=institution)
        return Response(serializers.ProbeSerializer(probe).data, status.HTTP_201_CREATED)


class ActivateView(APIView):
    """``POST /api/v1/institutions/{code}/activate`` (commission)."""

    @extend_schema(request=None, responses=serializers.InstitutionSerializer)
    def post(self, request: Request, code: str) -> Response:
        """Pull it from now on."""
        selectors.get_visible_institution(actor=request.user, code=code)
        institution = services.activate(actor=request.user, code=code)
        return Response(serializers.InstitutionSerializer(institution).data)


class _ReasonedView(APIView):
    """A change of state that needs a reason."""

    verb: ClassVar[Any]

    @extend_schema(
        request=serializers.ReasonSerializer, responses=serializers.InstitutionSerializer
    )
    def post(self, request: Request, code: str) -> Response:
        """With a reason."""
        selectors.get_visible_institution(actor=request.user, code=code)
        given = serializers.ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        institution = self.verb(actor=request.user, code=code, **given.validated_data)
        return Response(serializers.InstitutionSerializer(institution).data)


class SuspendView(_ReasonedView):
    """``POST /api/v1/institutions/{code}/suspend`` (commission)."""

    verb = staticmethod(services.suspend)


class LeaveView(_ReasonedView):
    """``POST /api/v1/institutions/{code}/leave`` (commission)."""

    verb = staticmethod(services.leave)
