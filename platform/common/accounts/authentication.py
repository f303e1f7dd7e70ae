"""REST framework's view of a bearer token."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from common.accounts.middleware import bearer_of
from common.accounts.models import User
from common.accounts.tokens import Bearer


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer …``, as the middleware checked it: one look-up for a request."""

    def authenticate(self, request: Request) -> tuple[User, Bearer] | None:
        bearer = bearer_of(request._request)
        return None if bearer is None else (bearer.user, bearer)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="imaging"'


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the API's description names it."""

    target_class = "common.accounts.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
