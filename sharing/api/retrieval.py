"""How far a study is on its way into the archive, and the order to fetch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.dicom.uids import is_valid_uid
from common.errors import NotFound
from sharing import selectors
from sharing.models import Study
from sharing.selectors.retrieval import Retrieval, Stage, retrieval_of
from sharing.services import on_demand

if TYPE_CHECKING:
    from common.accounts.models import User


class SeriesRetrievalSerializer(serializers.Serializer[Any]):
    """One series of it."""

    series_instance_uid = serializers.CharField()
    modality = serializers.CharField(allow_blank=True)
    series_number = serializers.IntegerField(allow_null=True)
    stage = serializers.ChoiceField(choices=[each.value for each in Stage])
    instances = serializers.IntegerField()
    expected = serializers.IntegerField(allow_null=True)
    size_bytes = serializers.IntegerField()
    error_code = serializers.CharField(allow_blank=True)
    next_try_at = serializers.DateTimeField(allow_null=True)


class RetrievalSerializer(serializers.Serializer[Any]):
    """A study on its way; ``expected`` is null while the hospital has not said how many instances there are."""

    stage = serializers.ChoiceField(choices=[each.value for each in Stage])
    complete = serializers.BooleanField()
    instances = serializers.IntegerField()
    expected = serializers.IntegerField(allow_null=True)
    size_bytes = serializers.IntegerField()
    error_code = serializers.CharField(allow_blank=True)
    next_try_at = serializers.DateTimeField(allow_null=True)
    series = SeriesRetrievalSerializer(many=True)


class RetrievalView(APIView):
    """``/api/v1/studies/{institution}/{study}/retrieval``."""

    @extend_schema(responses=RetrievalSerializer)
    def get(self, request: Request, institution_code: str, study_uid: str) -> Response:
        """How far the study is. Asks nothing of the hospital."""
        place = _place(request, institution_code, study_uid)
        return Response(RetrievalSerializer(_retrieval(place)).data)

    @extend_schema(request=None, responses={202: RetrievalSerializer})
    def post(self, request: Request, institution_code: str, study_uid: str) -> Response:
        """Fetch what is missing of the study, on demand. 503 with Retry-After when the hospital is away."""
        place = _place(request, institution_code, study_uid)
        on_demand.start_study(actor=actor_of(request), place=place)
        return Response(RetrievalSerializer(_retrieval(place)).data, status.HTTP_202_ACCEPTED)


def actor_of(request: Request) -> User:
    """Who asks; the interface is closed to strangers."""
    return cast("User", request.user)


def _place(request: Request, institution_code: str, study_uid: str) -> selectors.StudyPlace:
    if not is_valid_uid(study_uid):
        raise NotFound("There is no such study.")
    return selectors.place_study(
        actor=actor_of(request), study_instance_uid=study_uid, institution_code=institution_code
    )


def _retrieval(place: selectors.StudyPlace) -> Retrieval:
    listed = Study.objects.filter(pk=place.study_id).values_list("listed_instances", flat=True)
    return retrieval_of(study_id=place.study_id, listed_instances=listed.first())
