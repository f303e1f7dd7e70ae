"""A search that asks the hospitals too. Its question comes in the body: patients stand in no address."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sharing.api.retrieval import actor_of
from sharing.domain.coverage import Outcome
from sharing.models import Study
from sharing.selectors import listing
from sharing.services import federated


class QuestionSerializer(serializers.Serializer[Any]):
    """Whom or what is looked for; at least one that narrows it down."""

    patient_name = serializers.CharField(required=False, allow_blank=True, max_length=100)
    patient_id = serializers.CharField(required=False, allow_blank=True, max_length=128)
    accession_number = serializers.CharField(required=False, allow_blank=True, max_length=64)
    study_instance_uid = serializers.RegexField(r"^[0-9.]{1,64}$", required=False, allow_blank=True)
    since = serializers.DateField(required=False, allow_null=True)
    until = serializers.DateField(required=False, allow_null=True)
    modality = serializers.CharField(required=False, allow_blank=True, max_length=16)
    institution_code = serializers.SlugField(required=False, allow_blank=True, max_length=64)
    page = serializers.IntegerField(
        required=False, min_value=1, max_value=listing.DEEPEST_PAGE, default=1
    )


class HospitalAnswerSerializer(serializers.Serializer[Any]):
    """What came of asking one hospital. ``known_as_of``: until when the index knows its list."""

    code = serializers.CharField()
    name = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[each.value for each in Outcome])
    reason = serializers.CharField(allow_blank=True)
    answered_at = serializers.DateTimeField(allow_null=True)
    took_ms = serializers.IntegerField(allow_null=True)
    received = serializers.IntegerField()
    results = serializers.IntegerField()
    new = serializers.IntegerField()
    known_as_of = serializers.DateTimeField(allow_null=True)


class CoverageSerializer(serializers.Serializer[Any]):
    """Which hospitals an answer speaks for."""

    id = serializers.CharField()
    complete = serializers.BooleanField()
    asked = serializers.IntegerField()
    answered = serializers.IntegerField()
    asked_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    hospitals = HospitalAnswerSerializer(many=True)


class StudySerializer(serializers.Serializer[Any]):
    """One study of the index."""

    institution_code = serializers.CharField(source="institution.code")
    institution_name = serializers.CharField(source="institution.name")
    study_instance_uid = serializers.CharField()
    patient_name = serializers.CharField()
    patient_id = serializers.CharField()
    patient_birth_date = serializers.DateField(allow_null=True)
    patient_sex = serializers.CharField()
    study_date = serializers.DateField(allow_null=True)
    study_time = serializers.CharField()
    accession_number = serializers.CharField()
    study_description = serializers.CharField()
    modalities = serializers.ListField(child=serializers.CharField())
    instance_count = serializers.IntegerField()
    listed_instances = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=Study.State.choices)


class FederatedAnswerSerializer(serializers.Serializer[Any]):
    """The studies, and which hospitals they speak for."""

    coverage = CoverageSerializer()
    count = serializers.IntegerField()
    more = serializers.BooleanField()
    results = StudySerializer(many=True)


class FederatedSearchesView(APIView):
    """``POST /api/v1/federated-searches``."""

    @extend_schema(request=QuestionSerializer, responses=FederatedAnswerSerializer)
    def post(self, request: Request) -> Response:
        """Ask the hospitals that the caller may see, then answer from the index, with the coverage."""
        given = QuestionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = {name: value for name, value in given.validated_data.items() if value}
        search = listing.StudySearch(**values)
        coverage = federated.ask(
            actor=actor_of(request),
            question=federated.question_of(search),
            institution_code=search.institution_code,
        )
        found = listing.search_studies(actor=actor_of(request), search=search)
        answer = {
            "coverage": coverage.to_json(),
            "count": found.count,
            "more": found.more,
            "results": [row.study for row in found.rows if row.basis],
        }
        return Response(FederatedAnswerSerializer(answer).data)


class CoverageView(APIView):
    """``GET /api/v1/federated-searches/{id}``."""

    @extend_schema(responses=CoverageSerializer)
    def get(self, request: Request, coverage_id: str) -> Response:
        """Who answered a federated search of the caller's own, within an hour of it."""
        coverage = federated.coverage_of(actor=actor_of(request), coverage_id=coverage_id[:64])
        return Response(CoverageSerializer(coverage.to_json()).data)
