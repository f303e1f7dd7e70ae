"""What every page knows: the navigation of this reader and whether this is the demo."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from common.ui import navigation


def _links(request: HttpRequest) -> list[navigation.Link]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return []
    # Each entry asks what the account may do: the answers hold while this page is put together, and no longer.
    user.known_while_rendering = {}
    return navigation.links(request)


def site(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Lazy: a fragment that shows no navigation asks for no rights."""
    return {
        "navigation": SimpleLazyObject(lambda: _links(request)),
        "demo": settings.DEMO,
        "languages": settings.LANGUAGES,  # each in its own words, never translated
    }
