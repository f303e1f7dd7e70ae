"""The answer to a search: a Bundle of type searchset (R4 §3.1.1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from common.fhir.resources import Context, Resource
from common.fhir.sealing import Pairs
from common.outcome import issue, operation_outcome


def searchset(
    context: Context,
    *,
    address: str,
    links: dict[str, Pairs],
    total: int | None,
    matches: Iterable[Resource] = (),
    included: Iterable[Resource] = (),
    ignored: Sequence[str] = (),
) -> Resource:
    """``address`` is that of the searched type; ``links`` are parameters by relation."""
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        bundle["total"] = total
    bundle["link"] = [
        {"relation": relation, "url": f"{address}?{urlencode(pairs)}" if pairs else address}
        for relation, pairs in links.items()
    ]
    entries = [_entry(context, each, "match") for each in matches]
    entries += [_entry(context, each, "include") for each in included]
    if ignored:
        warnings = (
            issue("not-supported", f"The parameter {name} was ignored.", severity="warning")
            for name in ignored
        )
        entries.append({"resource": operation_outcome(*warnings), "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    return bundle


def _entry(context: Context, resource: Resource, mode: str) -> Resource:
    address = f"{context.base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": mode}}
