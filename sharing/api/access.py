"""Encounters and consents: told by the systems of an institution. A patient's numbers come in the body only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import audit
from common.errors import NotFound
from hospitals.selectors.memberships import account_at
from sharing.api.retrieval import actor_of
from sharing.domain.identities import PatientFacts
from sharing.errors import ConsentInvalid
from sharing.models import Consent, Encounter, LocalPatient
from sharing.permissions import sits_at
from sharing.selectors import access as reads
from sharing.selectors import codes
from sharing.services import consents, encounters
from sharing.services.patients import register_patient

if TYPE_CHECKING:
    from common.accounts.models import User

_FLAGS = {"true": True, "false": False, "": False}
_ONLY = OpenApiParameter("open", bool, description="Only those in force at this moment")
_CODE_HELP = "Needed by accounts of several institutions only"


class PatientSerializer(serializers.Serializer[Any]):
    """A patient as the institution knows it. What is left out stays as it is known; empty means there is none."""

    number = serializers.CharField(max_length=128)
    issuer = serializers.CharField(required=False, allow_blank=True, max_length=128)
    name = serializers.CharField(required=False, allow_blank=True, max_length=400)
    birth_date = serializers.DateField(required=False, allow_null=True)
    sex = serializers.ChoiceField(required=False, choices=["M", "F", "O", ""])
    resident_id = serializers.CharField(required=False, allow_blank=True, max_length=32)
    insurance_code = serializers.CharField(required=False, allow_blank=True, max_length=64)
    document_type = serializers.ChoiceField(
        required=False, allow_blank=True, choices=LocalPatient.DocumentType.choices
    )
    document = serializers.CharField(required=False, allow_blank=True, max_length=64)
    card = serializers.CharField(required=False, allow_blank=True, max_length=64)
    phone = serializers.CharField(required=False, allow_blank=True, max_length=32)


class SentEncounterSerializer(serializers.Serializer[Any]):
    """An encounter as the HIS tells of it: the same visit number again changes it."""

    institution_code = serializers.SlugField(required=False, max_length=64, help_text=_CODE_HELP)
    patient = PatientSerializer()
    visit_number = serializers.CharField(max_length=64)
    kind = serializers.ChoiceField(choices=Encounter.Kind.choices)
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="By default the usual time of its kind"
    )
    department = serializers.CharField(required=False, allow_blank=True, max_length=100)
    attending = serializers.CharField(required=False, allow_blank=True, max_length=100)
    reopen = serializers.BooleanField(
        required=False, default=False, help_text="One that was closed is open again"
    )


class EncounterSerializer(serializers.ModelSerializer[Encounter]):
    """An encounter. It gives sight until it is closed or expires."""

    institution_code = serializers.CharField(source="institution.code")
    patient_number = serializers.CharField(source="patient.number")
    person_key = serializers.CharField(source="patient.person.key")

    class Meta:
        model = Encounter
        fields = (
            "id", "institution_code", "patient_number", "person_key", "visit_number", "kind", "source",
            "department", "attending", "opened_at", "expires_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class VisitSerializer(serializers.Serializer[Any]):
    """Which encounter."""

    institution_code = serializers.SlugField(required=False, max_length=64, help_text=_CODE_HELP)
    visit_number = serializers.CharField(max_length=64)
    closed_at = serializers.DateTimeField(required=False, allow_null=True)


class SentConsentSerializer(serializers.Serializer[Any]):
    """What a patient allows the readers of the institution, or one of them; an empty list narrows nothing."""

    institution_code = serializers.SlugField(required=False, max_length=64, help_text=_CODE_HELP)
    patient_number = serializers.CharField(max_length=128)
    issuer = serializers.CharField(required=False, allow_blank=True, max_length=128, default="")
    given = serializers.ChoiceField(choices=Consent.Given.choices)
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="By default in 90 days, at most in five years"
    )
    username = serializers.CharField(
        required=False, allow_blank=True, max_length=150, help_text="Only this reader"
    )
    modalities = serializers.ListField(
        child=serializers.CharField(max_length=16), required=False, max_length=100
    )
    held_by = serializers.ListField(
        child=serializers.SlugField(max_length=64), required=False, max_length=100,
        help_text="Codes of the institutions whose examinations may be seen",
    )  # fmt: skip
    study_instance_uids = serializers.ListField(
        child=serializers.RegexField(r"^[0-9.]{1,64}$"), required=False, max_length=100
    )
    since = serializers.DateField(required=False, allow_null=True)


class ConsentSerializer(serializers.ModelSerializer[Consent]):
    """A consent with its scope and term."""

    institution_code = serializers.CharField(source="institution.code")
    patient_number = serializers.CharField(source="patient.number")
    username = serializers.SerializerMethodField()
    held_by = serializers.SerializerMethodField()

    class Meta:
        model = Consent
        fields = (
            "id", "institution_code", "patient_number", "username", "modalities", "held_by",
            "study_instance_uids", "since", "given", "given_at", "expires_at", "withdrawn_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_username(self, consent: Consent) -> str:
        return consent.user.get_username() if consent.user else ""

    def get_held_by(self, consent: Consent) -> list[str]:
        return [codes.entry(each).code for each in consent.held_by]


class EncountersView(generics.ListAPIView[Encounter]):
    """``/api/v1/encounters``."""

    serializer_class = EncounterSerializer

    def get_queryset(self) -> QuerySet[Encounter]:
        asked = _flag(self.request, "open")
        return reads.list_encounters(actor=actor_of(self.request), only_open=asked)

    @extend_schema(parameters=[_ONLY])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Encounters of the institutions that the caller registers for, the newest first."""
        _note(request, "encounter")
        return super().get(request, *args, **kwargs)

    @extend_schema(request=SentEncounterSerializer, responses={201: EncounterSerializer})
    def post(self, request: Request) -> Response:
        """Register the patient and open the encounter, or change what its visit number has."""
        given = SentEncounterSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        actor = actor_of(request)
        place = reads.place_of(actor, said.pop("institution_code", ""))
        facts = dict(said.pop("patient"))
        with transaction.atomic():
            patient = register_patient(
                actor=actor,
                institution_id=place,
                number=facts.pop("number"),
                issuer=facts.pop("issuer", ""),
                facts=PatientFacts(**facts),
            )
            encounter = encounters.register_encounter(
                actor=actor,
                institution_id=place,
                patient=patient,
                source=_source(actor, place),
                **said,
            )
        return Response(EncounterSerializer(encounter).data, status.HTTP_201_CREATED)


class EncounterView(APIView):
    """``GET /api/v1/encounters/{id}``."""

    @extend_schema(responses=EncounterSerializer)
    def get(self, request: Request, encounter_id: int) -> Response:
        """One encounter."""
        found = reads.get_encounter(actor=actor_of(request), encounter_id=encounter_id)
        _note(request, "encounter", found.institution_id)
        return Response(EncounterSerializer(found).data)


class CloseEncounterView(APIView):
    """``POST /api/v1/encounters/close``."""

    @extend_schema(request=VisitSerializer, responses=EncounterSerializer)
    def post(self, request: Request) -> Response:
        """Close the encounter of a visit number; it gives no sight any more."""
        given = VisitSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        actor = actor_of(request)
        place = reads.place_of(actor, said.get("institution_code", ""))
        rows = reads.list_encounters(actor=actor, institution_id=place)
        found = rows.filter(visit_number=said["visit_number"].strip()).first()
        if found is None:
            raise NotFound("There is no such encounter.")
        closed = encounters.close_encounter(actor=actor, encounter=found, at=said.get("closed_at"))
        return Response(EncounterSerializer(closed).data)


class ConsentsView(generics.ListAPIView[Consent]):
    """``/api/v1/consents``."""

    serializer_class = ConsentSerializer

    def get_queryset(self) -> QuerySet[Consent]:
        asked = _flag(self.request, "open")
        return reads.list_consents(actor=actor_of(self.request), only_in_force=asked)

    @extend_schema(parameters=[_ONLY])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Consents that concern the institutions that the caller registers for, the newest first."""
        _note(request, "consent")
        return super().get(request, *args, **kwargs)

    @extend_schema(request=SentConsentSerializer, responses={201: ConsentSerializer})
    def post(self, request: Request) -> Response:
        """Note a consent of one of the institution's patients."""
        given = SentConsentSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        actor = actor_of(request)
        place = reads.place_of(actor, said.get("institution_code", ""))
        consent = consents.give_consent(
            actor=actor,
            patient=reads.find_patient(
                institution_id=place, number=said["patient_number"], issuer=said["issuer"]
            ),
            institution_id=place,
            given=said["given"],
            scope=consents.ConsentScope(
                modalities=said.get("modalities", ()),
                held_by=[_institution(code) for code in said.get("held_by", ())],
                study_instance_uids=said.get("study_instance_uids", ()),
                since=said.get("since"),
            ),
            user=_reader(place, said.get("username", "")),
            expires_at=said.get("expires_at"),
        )
        return Response(ConsentSerializer(consent).data, status.HTTP_201_CREATED)


class WithdrawConsentView(APIView):
    """``POST /api/v1/consents/{id}/withdraw``."""

    @extend_schema(request=None, responses=ConsentSerializer)
    def post(self, request: Request, consent_id: int) -> Response:
        """The patient takes it back; it works within five seconds."""
        actor = actor_of(request)
        consent = reads.get_consent(actor=actor, consent_id=consent_id)
        return Response(
            ConsentSerializer(consents.withdraw_consent(actor=actor, consent=consent)).data
        )


def _source(actor: User, institution_id: int) -> str:
    """Whose word it is: a person's at the desk, else the HIS's."""
    at_desk = institution_id in sits_at(actor) and not actor.is_system
    return Encounter.Source.DESK if at_desk else Encounter.Source.HIS


def _flag(request: Request, name: str) -> bool:
    asked = request.query_params.get(name, "")
    if asked not in _FLAGS:
        raise ValidationError({name: "true or false"})
    return _FLAGS[asked]


def _institution(code: str) -> int:
    found = codes.id_of(code)
    if found is None:
        raise ConsentInvalid("A scope names an institution that there is not.")
    return found


def _reader(institution_id: int, username: str) -> User | None:
    if not username:
        return None
    found: User | None = account_at(institution_id=institution_id, username=username)
    if found is None:
        raise ConsentInvalid("Nobody of this name works at the institution.")
    return found


def _note(request: Request, kind: str, institution_id: int | None = None) -> None:
    audit.record_view(
        actor_of(request),
        f"{kind}.list",
        object_type=f"sharing.{kind}",
        institution_id=institution_id,
        purpose="registration",
    )
