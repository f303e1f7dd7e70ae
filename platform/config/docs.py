"""``/api/v1/docs``: the OpenAPI document as a page of our own, without scripts of third parties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    answers: list[tuple[str, str]]


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return render(
        request,
        "config/api_docs.html",
        {"info": schema["info"], "operations": list(_operations(schema))},
    )


def _operations(schema: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            operation = methods[method]
            first, _, rest = operation.get("description", "").partition("\n")
            yield Operation(
                method=method.upper(),
                path=path,
                summary=operation.get("summary") or first or operation["operationId"],
                description=rest.strip(),
                parameters=operation.get("parameters", []),
                answers=[
                    (status, answer.get("description", ""))
                    for status, answer in operation.get("responses", {}).items()
                ],
            )
