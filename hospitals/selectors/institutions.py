"""Regions, consortia, institutions, and how they may be pulled from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from hospitals.domain.abilities import Abilities
from hospitals.domain.policy import InstitutionFacts, PullPolicy
from hospitals.errors import ConsortiumUnknown, EndpointMissing, InstitutionUnknown, RegionUnknown
from hospitals.models import Consortium, Endpoint, Institution, Probe, Region
from hospitals.permissions import visible_institutions as _visible
from hospitals.selectors.health import newest_probes


def regions() -> QuerySet[Region]:
    """Every region, by code."""
    return Region.objects.select_related("parent")


def get_region(*, code: str) -> Region:
    """One region.

    Raises:
        RegionUnknown: no region has this code.
    """
    try:
        return regions().get(code=code)
    except Region.DoesNotExist:
        raise RegionUnknown(_("There is no region %(code)s.") % {"code": code}) from None


def consortia() -> QuerySet[Consortium]:
    """Every consortium, by code."""
    return Consortium.objects.select_related("region")


def get_consortium(*, code: str) -> Consortium:
    """One consortium.

    Raises:
        ConsortiumUnknown: no consortium has this code.
    """
    try:
        return consortia().get(code=code)
    except Consortium.DoesNotExist:
        raise ConsortiumUnknown(_("There is no consortium %(code)s.") % {"code": code}) from None


def get_institution(*, code: str) -> Institution:
    """One institution whoever asks: for commands and jobs. Pages use ``get_visible_institution``.

    Raises:
        InstitutionUnknown: no institution has this code.
    """
    return _get(Institution.objects.all(), code)


def visible_institutions(*, actor: Any, search: str = "") -> QuerySet[Institution]:
    """The institutions whose record the actor may see, with region and consortium; ``search`` looks
    in code, name and credit code."""
    rows = _visible(actor).select_related("region", "consortium", "endpoint")
    if search:
        rows = rows.filter(
            Q(code__icontains=search) | Q(name__icontains=search) | Q(credit_code__iexact=search)
        )
    return rows


def get_visible_institution(*, actor: Any, code: str) -> Institution:
    """One institution that the actor may see; absent and hidden look the same.

    Raises:
        InstitutionUnknown: none, or not for this actor.
    """
    return _get(visible_institutions(actor=actor), code)


def institution_ids_visible_to(user: Any) -> frozenset[int]:
    """Ids of the institutions whose record an account may see (not their examinations)."""
    return frozenset(_visible(user).values_list("pk", flat=True))


def _get(rows: QuerySet[Institution], code: str) -> Institution:
    try:
        return rows.select_related("region", "consortium", "endpoint").get(code=code)
    except Institution.DoesNotExist:
        raise InstitutionUnknown(_("There is no institution %(code)s.") % {"code": code}) from None


def pull_policy(*, institution_id: int) -> PullPolicy:
    """How gently this institution's archive may be asked. Two queries.

    Raises:
        InstitutionUnknown: no such institution.
        EndpointMissing: it has no endpoint.
    """
    endpoint = (
        Endpoint.objects.select_related("institution").filter(institution_id=institution_id).first()
    )
    if endpoint is None:
        if not Institution.objects.filter(pk=institution_id).exists():
            raise InstitutionUnknown
        raise EndpointMissing
    return _policy(endpoint, newest_probes([endpoint.pk], only_reachable=True))


def list_pullable() -> list[PullPolicy]:
    """The policy of every active institution with an endpoint, by code. Two queries, whatever the
    number; circuits and quiet hours are for the caller to weigh against its clock."""
    endpoints = list(
        Endpoint.objects.select_related("institution")
        .filter(institution__state=Institution.State.ACTIVE)
        .order_by("institution__code")
    )
    probes = newest_probes([endpoint.pk for endpoint in endpoints], only_reachable=True)
    return [_policy(endpoint, probes) for endpoint in endpoints]


def list_policies(
    institution_ids: Collection[int],
) -> list[tuple[str, str, int, PullPolicy | None]]:
    """Code, name, id and policy of each of these institutions, by code, whatever its state; none without an
    endpoint. Three queries, whatever the number."""
    institutions = Institution.objects.filter(pk__in=institution_ids).order_by("code")
    endpoints = {
        endpoint.institution_id: endpoint
        for endpoint in Endpoint.objects.select_related("institution").filter(
            institution_id__in=institution_ids
        )
    }
    probes = newest_probes([each.pk for each in endpoints.values()], only_reachable=True)
    return [
        (
            each.code,
            each.name,
            each.pk,
            _policy(endpoints[each.pk], probes) if each.pk in endpoints else None,
        )
        for each in institutions
    ]


def _policy(endpoint: Endpoint, probes: Mapping[int, Probe]) -> PullPolicy:
    institution = endpoint.institution
    probe = probes.get(endpoint.pk)
    return PullPolicy(
        institution_id=institution.pk,
        code=institution.code,
        name=institution.name,
        state=institution.state,
        kind=endpoint.kind,
        concurrency=endpoint.concurrency,
        bandwidth_bytes_per_s=endpoint.bandwidth_bytes_per_s,
        quiet_from=endpoint.quiet_from,
        quiet_until=endpoint.quiet_until,
        failures=endpoint.failures,
        open_until=endpoint.open_until,
        abilities=Abilities.from_json(probe.abilities) if probe else None,
        character_set=endpoint.character_set,
    )


def list_codes() -> list[tuple[int, str, str]]:
    """Number, code and name of every institution."""
    return list(Institution.objects.values_list("pk", "code", "name"))


def list_left() -> list[int]:
    """Ids of the institutions that left the province: they neither share nor are shared with."""
    return list(
        Institution.objects.filter(state=Institution.State.LEFT).values_list("pk", flat=True)
    )


def institution_names(institution_ids: Collection[int]) -> dict[int, str]:
    """Names by id, whoever asks: of hospitals that a page has named to its reader already. One query."""
    found = Institution.objects.filter(pk__in=institution_ids)
    return dict(found.values_list("pk", "name"))


def institution_facts(institution_id: int) -> InstitutionFacts:
    """What the archive keeps about an institution.

    Raises:
        InstitutionUnknown: no such institution.
    """
    rows = Institution.objects.select_related("region", "consortium", "endpoint")
    institution = rows.filter(pk=institution_id).first()
    if institution is None:
        raise InstitutionUnknown
    consortium = institution.consortium
    endpoint = getattr(institution, "endpoint", None)
    return InstitutionFacts(
        code=institution.code,
        name=institution.name,
        credit_code=institution.credit_code,
        level=institution.level,
        kind=institution.kind,
        region_code=institution.region.code,
        region_name=institution.region.name,
        consortium_code=consortium.code if consortium else "",
        consortium_name=consortium.name if consortium else "",
        character_set=endpoint.character_set if endpoint else "",
    )
