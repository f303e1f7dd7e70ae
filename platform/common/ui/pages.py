"""Small things that every page view needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

if TYPE_CHECKING:
    from common.accounts.models import User


def actor_of(request: HttpRequest) -> User:
    """Who asks. Views behind the closed door only: there is always somebody."""
    return cast("User", request.user)


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page in hand."""
    return bool(getattr(request, "htmx", False)) and not request.htmx.history_restore_request  # type: ignore[attr-defined]


def page(
    request: HttpRequest, template: str, context: dict[str, object], *, fragment: str = ""
) -> HttpResponse:
    """The page, or for htmx the fragment that the page includes. Never kept by a shared cache."""
    name = fragment if fragment and is_fragment(request) else template
    response = render(request, name, context)
    if fragment:
        patch_vary_headers(response, ["HX-Request"])
    response.headers["Cache-Control"] = "private, no-store"
    return response
