"""REST of the bearer tokens of systems under ``/api/v1/tokens``."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.accounts.models import Token, User
from hospitals import selectors, services
from hospitals.services.systems import DAYS_MOST, GRACE_HOURS_MOST, LABEL_MOST

STATES = ("live", "replaced", "expired", "revoked")


class TokenSerializer(serializers.ModelSerializer[Token]):
    """A token of a system. The token itself is answered once, where it is made."""

    account = serializers.CharField(source="user.username", read_only=True)
    state = serializers.SerializerMethodField(
        help_text="replaced: it has a successor and works until expires_at"
    )
    replaced_by = serializers.IntegerField(
        source="replaced_by_id", read_only=True, allow_null=True, help_text="id of the successor"
    )

    class Meta:
        model = Token
        fields: tuple[str, ...] = (
            "id",
            "account",
            "prefix",
            "label",
            "scope",
            "state",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
            "replaced_by",
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field({"type": "string", "enum": list(STATES)})
    def get_state(self, token: Token) -> str:
        return services.token_state(token)


class NewTokenSerializer(TokenSerializer):
    """A token as it is made: with what the system sends, which is never shown again."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class TokenWishSerializer(serializers.Serializer[Any]):
    """Which token is wanted."""

    account = serializers.CharField(max_length=150, help_text="user name of the system")
    scope: Any = serializers.ChoiceField(choices=Token.Scope.choices, default=Token.Scope.READ)
    days = serializers.IntegerField(min_value=1, max_value=DAYS_MOST, default=365)
    label: Any = serializers.CharField(
        max_length=LABEL_MOST, required=False, allow_blank=True, default=""
    )


class RotationSerializer(serializers.Serializer[Any]):
    """How long the old token works on."""

    grace_hours = serializers.IntegerField(min_value=0, max_value=GRACE_HOURS_MOST, default=24)


class TokensView(generics.ListAPIView[Token]):
    """``/api/v1/tokens``: of the systems that the caller keeps; of itself, where a system asks."""

    serializer_class = TokenSerializer

    def get_queryset(self) -> QuerySet[Token]:
        account = self.request.query_params.get("account", "")[:150]
        return selectors.list_tokens(actor=self.request.user, username=account)

    @extend_schema(
        parameters=[
            OpenApiParameter("account", OpenApiTypes.STR, description="only of this system")
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Tokens, the newest first; none of them can be read."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=TokenWishSerializer, responses={201: NewTokenSerializer})
    def post(self, request: Request) -> Response:
        """Make a token for a system (administrators of its institution, and the commission)."""
        wish = TokenWishSerializer(data=request.data)
        wish.is_valid(raise_exception=True)
        given = dict(wish.validated_data)
        system = selectors.get_kept_system(actor=request.user, username=given.pop("account"))
        return _made(services.issue_token(actor=_actor(request), system=system, **given))


class TokenView(APIView):
    """``/api/v1/tokens/{id}``."""

    @extend_schema(responses=TokenSerializer)
    def get(self, request: Request, token_id: int) -> Response:
        """One token."""
        token = selectors.get_kept_token(actor=request.user, token_id=token_id)
        return Response(TokenSerializer(token).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Withdraw it: refused everywhere within five seconds. Again: nothing happens."""
        token = selectors.get_kept_token(actor=request.user, token_id=token_id)
        services.revoke_token(actor=_actor(request), token=token)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateView(APIView):
    """``POST /api/v1/tokens/{id}/rotate``."""

    @extend_schema(request=RotationSerializer, responses={201: NewTokenSerializer})
    def post(self, request: Request, token_id: int) -> Response:
        """Its successor, of the same scope and term; the old one works on for a time of grace.

        A system may do this with its own tokens.
        """
        given = RotationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        token = selectors.get_kept_token(actor=request.user, token_id=token_id)
        return _made(
            services.rotate_token(actor=_actor(request), token=token, **given.validated_data)
        )


def _actor(request: Request) -> User:
    # Views here are closed: there is always somebody.
    return cast("User", request.user)


def _made(made: tuple[Token, str]) -> Response:
    token, text = made
    token.token = text  # type: ignore[attr-defined]  # of this answer only; no column holds it
    return Response(NewTokenSerializer(token).data, status.HTTP_201_CREATED)
