"""The addresses of FHIR's interactions, made of the resource types."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from django.urls import URLPattern, path

from common.fhir import server
from common.fhir.resources import ResourceType


def fhir_routes(kinds: Iterable[ResourceType]) -> list[URLPattern]:
    """Routes for ``metadata`` and for read and search of each type; anything else is refused as FHIR does."""
    table = {kind.name: kind for kind in kinds}
    return [
        path("", server.NoSuchResource.as_view(), name="root"),
        path("metadata", server.CapabilityView.as_view(kinds=table), name="metadata"),
        *chain.from_iterable(_of_type(name, table) for name in table),
        path("<path:rest>", server.NoSuchResource.as_view()),
    ]


def _of_type(name: str, table: server.Kinds) -> list[URLPattern]:
    given = {"kind": name, "kinds": table}
    root = server.CreateView if table[name].creates else server.SearchView
    low = name.lower()
    return [
        path(name, root.as_view(**given), name=f"search-{low}"),
        path(f"{name}/_search", server.PostedSearchView.as_view(**given), name=f"post-{low}"),
        path(f"{name}/<str:resource_id>", server.ReadView.as_view(**given), name=f"read-{low}"),
    ]
