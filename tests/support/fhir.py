"""FHIR answers checked against a model that others wrote (package fhir.resources, R4B: these types are R4's)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

Resource = dict[str, Any]


def valid(resource: Resource) -> Resource:
    """The resource, if the model takes it, with codes of the value sets that are required.

    The model itself checks forms, cardinalities and names, and leaves value sets to others.
    """
    model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    wrong = list(_strange_codes(model))
    assert not wrong, wrong
    return resource


def _strange_codes(model: BaseModel) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        allowed = extra.get("enum_values") if isinstance(extra, dict) else None
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, BaseModel):
                yield from _strange_codes(each)
            elif (
                isinstance(allowed, list) and each not in [None, *allowed] and "mime" not in allowed
            ):
                yield f"{type(model).__name__}.{name}: {each}"


def matches(bundle: Resource) -> list[Resource]:
    """The matches of a valid searchset, in its order."""
    return _of_mode(valid(bundle), "match")


def included(bundle: Resource) -> list[Resource]:
    """What a valid searchset includes beside the matches."""
    return _of_mode(valid(bundle), "include")


def warnings(bundle: Resource) -> str:
    """What the outcome of a searchset says."""
    outcomes = _of_mode(bundle, "outcome")
    return " ".join(issue["diagnostics"] for each in outcomes for issue in each["issue"])


def link(bundle: Resource, relation: str) -> str:
    """The link of this relation; empty for none."""
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), "")


def _of_mode(bundle: Resource, mode: str) -> list[Resource]:
    return [
        entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode
    ]
