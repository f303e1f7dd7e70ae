"""Reports: sent by the systems of an institution, read by whoever may see the study."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import audit
from sharing import selectors
from sharing.api.retrieval import actor_of
from sharing.domain import report as rules
from sharing.domain.report import ReportContent, ReportStatus, Verdict
from sharing.models import Report, ReportVersion
from sharing.selectors import reports as reads
from sharing.services import reports

_WAITING = {"true": True, "false": False, "": None}


class SentReportSerializer(serializers.Serializer[Any]):
    """One version of a report. Name the study by its UID or by its accession number."""

    institution_code = serializers.SlugField(
        required=False, max_length=64, help_text="Needed by accounts of several institutions only"
    )
    number = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=128,
        help_text="The sender's number of the report, the same in all versions; by default that of the study",
    )
    version = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=rules.MOST_VERSION
    )
    study_instance_uid = serializers.RegexField(r"^[0-9.]{1,64}$", required=False, allow_blank=True)
    accession_number = serializers.CharField(required=False, allow_blank=True, max_length=64)
    patient_id = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=128,
        help_text="The patient's number at the institution; a study of another patient is refused",
    )
    status = serializers.ChoiceField(choices=[each.value for each in ReportStatus])
    title = serializers.CharField(required=False, allow_blank=True, max_length=rules.MOST_TITLE)
    findings = serializers.CharField(required=False, allow_blank=True, max_length=rules.MOST_TEXT)
    impression = serializers.CharField(required=False, allow_blank=True, max_length=rules.MOST_TEXT)
    author = serializers.CharField(required=False, allow_blank=True, max_length=rules.MOST_NAME)
    verifier = serializers.CharField(required=False, allow_blank=True, max_length=rules.MOST_NAME)
    reported_at = serializers.DateTimeField(
        help_text="The time of this version; without a zone the province's"
    )
    verified_at = serializers.DateTimeField(required=False, allow_null=True)


class ReportVersionSerializer(serializers.ModelSerializer[ReportVersion]):
    """What the report said at one time."""

    version = serializers.IntegerField(source="number")

    class Meta:
        model = ReportVersion
        fields = (
            "version", "status", "title", "findings", "impression", "author", "verifier", "reported_at",
            "verified_at", "sender_version", "source", "received_at",
        )  # fmt: skip
        read_only_fields = fields


class ReportSerializer(serializers.Serializer[Any]):
    """A report with its versions, the newest first."""

    id = serializers.IntegerField(source="report.pk")
    number = serializers.CharField(source="report.number")
    institution_code = serializers.CharField(source="report.institution.code")
    study_instance_uid = serializers.SerializerMethodField()
    accession_number = serializers.SerializerMethodField()
    waiting = serializers.SerializerMethodField(
        help_text="Whether the study is not in the index yet"
    )
    status = serializers.CharField(source="current.status")
    versions = ReportVersionSerializer(many=True)

    def get_study_instance_uid(self, found: reads.ReportOfStudy) -> str:
        study = found.report.study
        return study.study_instance_uid if study else found.report.study_instance_uid

    def get_accession_number(self, found: reads.ReportOfStudy) -> str:
        study = found.report.study
        return (study.accession_number if study else "") or found.report.accession_number

    def get_waiting(self, found: reads.ReportOfStudy) -> bool:
        return found.report.study is None


class ReceiptSerializer(serializers.Serializer[Any]):
    """What became of a version: ``stored``; ``duplicate``: held already; ``stale``: a newer one is held."""

    id = serializers.IntegerField(source="report.pk")
    number = serializers.CharField(source="report.number")
    outcome = serializers.ChoiceField(
        choices=[each.value for each in Verdict], source="verdict.value"
    )
    waiting = serializers.SerializerMethodField(
        help_text="Whether the study is not in the index yet"
    )
    version = serializers.IntegerField(source="version.number")
    status = serializers.CharField(source="version.status")

    def get_waiting(self, receipt: reports.Receipt) -> bool:
        return receipt.report.study_id is None


class ReportsView(generics.ListAPIView[Report]):
    """``/api/v1/reports``: send one; what was sent."""

    serializer_class = ReportSerializer

    def get_queryset(self) -> QuerySet[Report]:
        asked = self.request.query_params.get("waiting", "")
        if asked not in _WAITING:
            raise ValidationError({"waiting": "true or false"})
        return reads.sent_reports(actor_of(self.request), waiting=_WAITING[asked])

    @extend_schema(
        parameters=[OpenApiParameter("waiting", bool, description="Without a study yet")]
    )
    def get(self, request: Request) -> Response:
        """The reports of the institutions that the caller sends for, the newest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        actor = actor_of(request)
        audit.record_view(
            actor,
            "report.list",
            object_type="sharing.report",
            basis="own-institution",
            purpose="sent",
        )
        found = [reads.as_sent(actor, each) for each in page]
        return self.get_paginated_response(ReportSerializer(found, many=True).data)

    @extend_schema(
        request=SentReportSerializer, responses={200: ReceiptSerializer, 201: ReceiptSerializer}
    )
    def post(self, request: Request) -> Response:
        """Send a version of a report: 201 when it was stored, 200 when nothing changed.

        The same message may be sent again at any time. Versions are ordered by ``version`` where both have one, else by
        ``reported_at``; a preliminary one never replaces a final one. A changed report is a further version, never an
        overwritten one. Before its study is in the index a report waits for it (``waiting``).
        """
        given = SentReportSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        told = given.validated_data
        actor = actor_of(request)
        receipt = reports.take_in(
            actor=actor,
            institution_id=reports.sending_institution(actor, told.get("institution_code", "")),
            content=_content(told),
            source=ReportVersion.Source.REST,
            study_instance_uid=told.get("study_instance_uid", ""),
            accession_number=told.get("accession_number", ""),
            report_number=told.get("number", ""),
            patient_number=told.get("patient_id", ""),
        )
        stored = receipt.verdict == Verdict.STORED
        return Response(
            ReceiptSerializer(receipt).data,
            status.HTTP_201_CREATED if stored else status.HTTP_200_OK,
        )


class ReportView(APIView):
    """``/api/v1/reports/{id}``."""

    @extend_schema(responses=ReportSerializer)
    def get(self, request: Request, report_id: int) -> Response:
        """One report with all its versions, for who may see its study."""
        actor = actor_of(request)
        found = reads.get_report(actor=actor, report_id=report_id)
        reports.note_view(actor, [found])
        return Response(ReportSerializer(found).data)


class StudyReportsView(APIView):
    """``/api/v1/studies/{institution}/{study}/reports``."""

    @extend_schema(responses=ReportSerializer(many=True))
    def get(self, request: Request, institution_code: str, study_uid: str) -> Response:
        """The reports on an examination that the caller may see."""
        actor = actor_of(request)
        study = selectors.get_visible_study(
            actor=actor, study_instance_uid=study_uid, institution_code=institution_code
        )
        found = reads.reports_of(actor, study)
        reports.note_view(actor, found)
        return Response(ReportSerializer(found, many=True).data)


def _content(told: dict[str, Any]) -> ReportContent:
    return ReportContent(
        status=ReportStatus(told["status"]),
        reported_at=told["reported_at"],
        findings=told.get("findings", ""),
        impression=told.get("impression", ""),
        title=told.get("title", ""),
        author=told.get("author", ""),
        verifier=told.get("verifier", ""),
        verified_at=told.get("verified_at"),
        version=told.get("version"),
    )
