"""How a request carries the token that let it in."""

from __future__ import annotations

from django.http import HttpRequest

from common.accounts.tokens import Bearer


def bearer_of(request: HttpRequest) -> Bearer | None:
    """The bearer token that this request was let in by; None for a session."""
    return getattr(request, "bearer", None)
