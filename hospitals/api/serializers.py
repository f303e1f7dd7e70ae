"""Members of the province as JSON. A secret goes in and never comes out."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from hospitals.models import Consortium, Endpoint, Institution, Probe, Region


class RegionSerializer(serializers.ModelSerializer[Region]):
    """An administrative region."""

    class Meta:
        model = Region
        fields = ("code", "name")
        extra_kwargs: ClassVar[dict[str, Any]] = {"code": {"validators": []}}


class ConsortiumSerializer(serializers.ModelSerializer[Consortium]):
    """A consortium with its region."""

    region = serializers.SlugRelatedField[Region](slug_field="code", queryset=Region.objects.all())

    class Meta:
        model = Consortium
        fields = ("code", "name", "region")
        extra_kwargs: ClassVar[dict[str, Any]] = {"code": {"validators": []}}


class InstitutionSerializer(serializers.ModelSerializer[Institution]):
    """An institution. Its state changes by actions, not by writing."""

    region = serializers.SlugRelatedField[Region](slug_field="code", queryset=Region.objects.all())
    consortium = serializers.SlugRelatedField[Consortium](
        slug_field="code", queryset=Consortium.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = Institution
        fields = (
            "code",
            "name",
            "credit_code",
            "level",
            "kind",
            "region",
            "consortium",
            "state",
            "state_reason",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("state", "state_reason", "created_at", "updated_at")
        # Uniqueness and form are the service's to say, once and in its words.
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "code": {"validators": []},
            "credit_code": {"validators": []},
        }


class InstitutionChangeSerializer(InstitutionSerializer):
    """What may be changed of an institution; its code stays."""

    code = serializers.CharField(read_only=True)


class ProbeSerializer(serializers.ModelSerializer[Probe]):
    """What an endpoint was seen to be able to do."""

    class Meta:
        model = Probe
        fields = ("at", "reachable", "abilities", "error_code", "error_text", "duration_ms")
        read_only_fields = fields


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """Where an archive answers, without its secret."""

    has_secret = serializers.SerializerMethodField()

    class Meta:
        model = Endpoint
        fields = (
            "kind",
            "base_url",
            "folder",
            "auth",
            "has_secret",
            "concurrency",
            "bandwidth_bytes_per_s",
            "quiet_from",
            "quiet_until",
            "connect_timeout_s",
            "read_timeout_s",
            "character_set",
            "failures",
            "open_until",
            "last_error_code",
            "last_error_text",
            "last_error_at",
            "last_success_at",
        )
        read_only_fields = fields

    def get_has_secret(self, endpoint: Endpoint) -> bool:
        """Whether a secret is stored."""
        return endpoint.secret is not None


class EndpointSettingsSerializer(serializers.Serializer[Any]):
    """An endpoint as it is given. Without ``secret`` the stored one stays, for the same URL only."""

    base_url = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)
    folder = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)
    auth = serializers.ChoiceField(choices=Endpoint.Auth.choices, default=Endpoint.Auth.NONE)
    secret = serializers.DictField(
        child=serializers.CharField(trim_whitespace=False),
        required=False,
        allow_null=True,
        default=None,
        write_only=True,
    )
    concurrency = serializers.IntegerField(default=4, min_value=1)
    bandwidth_bytes_per_s = serializers.IntegerField(default=None, allow_null=True, min_value=1)
    quiet_from = serializers.TimeField(default=None, allow_null=True)
    quiet_until = serializers.TimeField(default=None, allow_null=True)
    connect_timeout_s = serializers.FloatField(default=10.0)
    read_timeout_s = serializers.FloatField(default=60.0)
    character_set = serializers.CharField(default="", allow_blank=True, max_length=32)


class ReasonSerializer(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=200)
