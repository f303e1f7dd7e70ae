"""REST framework's view of a bearer token."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from common.accounts.bearer import bearer_of
from common.accounts.models import User
from common.accounts.tokens import Bearer


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer …``, as the middleware checked it: one look-up for a request."""

    def authenticate(self, request: Request) -> tuple[User, Bearer] | None:
        bearer = bearer_of(request._request)
        return None if bearer is None else (bearer.user, bearer)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="imaging"'
