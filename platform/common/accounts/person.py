"""Who a session belongs to: asked of the database for pages, kept for seconds for DICOMweb."""

from __future__ import annotations

import copy
from typing import Any

from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from common.accounts import demands
from common.kept import Kept
from common.problem import is_dicomweb

# As for tokens: who is logged out or shut out is refused within five seconds (DESIGN section 7).
KEEP_S = 3.0
_kept: Kept[str, AbstractBaseUser] = Kept(entries=4096, keep_s=KEEP_S)


class PersonMiddleware(AuthenticationMiddleware):
    """``request.user``. A viewer asks for hundreds of frames in a row with one session: two queries less for each."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if is_dicomweb(request):
            request.user = _person(request)  # type: ignore[assignment]  # an account of ours


def _person(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    key = request.session.session_key  # what the cookie says; nothing is read for it
    if not key:
        return AnonymousUser()
    person = _kept.get(key)
    if person is None:
        found = get_user(request)
        if not isinstance(found, AbstractBaseUser):
            return found
        person = found
        # Kept with it: the next frames must not read the session for this either.
        person.session_is_verified = demands.MARK in request.session
        _kept.put(key, person)
    # A copy, so that what one request remembers on its user never reaches the next.
    return copy.copy(person)


def forget_people(**_: Any) -> None:
    """Ask again at the next request, in this process; others follow within ``KEEP_S``."""
    _kept.clear()
    demands.forget()
