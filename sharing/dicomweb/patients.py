"""Patient numbers as search values: local, or with the institution before a colon."""

from __future__ import annotations

import re

from django.db.models import Q

from sharing.dicomweb import matching

_KEY = re.compile(r"\*?(?P<code>[-A-Za-z0-9_]+):(?P<local>.+)", re.DOTALL)


def patient_id(value: str, *, prefix: str = "", namespaced: bool) -> Q:
    """Whose studies are asked for.

    Where answers carry ``{institution}:{number}`` (``namespaced``), such a value finds the patient
    of that institution and nobody else. A value without an institution is a number as a hospital
    wrote it, in whichever hospital.
    """
    condition = Q()
    for each in filter(None, value.split("\\")):
        condition |= _one(each.strip(), prefix, namespaced=namespaced)
    return condition


def _one(value: str, prefix: str, *, namespaced: bool) -> Q:
    field = f"{prefix}patient_id"
    key = _KEY.fullmatch(value) if namespaced else None
    if key is None:
        return matching.text(field, value)
    local = matching.text(field, key["local"]) & ~Q(**{field: ""})
    return local & Q(**{f"{prefix}institution__code": key["code"]})
