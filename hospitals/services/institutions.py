"""Institutions: brought on board, changed, suspended, let go; and restored from the archive."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from common import audit
from common.identifiers import MalformedCreditCode, parse_credit_code
from hospitals import permissions
from hospitals.domain.codes import is_plain_code
from hospitals.domain.policy import InstitutionFacts
from hospitals.errors import (
    CodeInvalid,
    CodeTaken,
    CreditCodeInvalid,
    EndpointMissing,
    FieldInvalid,
    InstitutionUnknown,
    ReasonMissing,
    StateConflict,
)
from hospitals.models import Consortium, Institution, Membership, Region
from hospitals.permissions import Actor

State = Institution.State
_CHANGEABLE = frozenset({"name", "credit_code", "level", "kind", "region", "consortium"})


@transaction.atomic
def add_institution(
    *,
    actor: Actor,
    code: str,
    name: str,
    region: Region,
    consortium: Consortium | None = None,
    credit_code: str = "",
    level: str = Institution.Level.UNGRADED,
    kind: str = Institution.Kind.GENERAL,
) -> Institution:
    """Add an institution, onboarding and without an endpoint.

    Raises:
        NotPermitted: the actor may not administer the province.
        CodeInvalid, CreditCodeInvalid, FieldInvalid: a value has not its form.
        CodeTaken: the code or the credit code is another institution's.
    """
    permissions.require(permissions.may_administer(actor))
    if not is_plain_code(code):
        raise CodeInvalid(
            _(
                "The code %(code)s cannot be used: letters, digits, hyphens and underscores, at most 64."
            )
            % {"code": code}
        )
    values = _checked(
        name=name,
        region=region,
        consortium=consortium,
        credit_code=credit_code,
        level=level,
        kind=kind,
    )
    _require_credit_code_free(values["credit_code"], but=None)
    institution, created = Institution.objects.get_or_create(code=code, defaults=values)
    if not created:
        raise CodeTaken(_("There is an institution %(code)s already.") % {"code": code})
    audit.record(actor, "institution.add", obj=institution, institution_id=institution.pk)
    return institution


@transaction.atomic
def update_institution(*, actor: Actor, code: str, **changes: Any) -> Institution:
    """Change name, credit code, level, kind, region or consortium; only what is given.

    Raises:
        NotPermitted: the actor may not administer the province.
        InstitutionUnknown: no such institution.
        CreditCodeInvalid, FieldInvalid, CodeTaken: as for ``add_institution``.
    """
    permissions.require(permissions.may_administer(actor))
    unknown = set(changes) - _CHANGEABLE
    if unknown:
        raise FieldInvalid(
            _("Cannot be changed: %(names)s.") % {"names": ", ".join(sorted(unknown))}
        )
    institution = _locked(code)
    values = _checked(
        **{name: changes.get(name, getattr(institution, name)) for name in _CHANGEABLE}
    )
    _require_credit_code_free(values["credit_code"], but=institution.pk)
    changed = sorted(name for name in changes if getattr(institution, name) != values[name])
    if not changed:
        return institution
    for name in changed:
        setattr(institution, name, values[name])
    institution.save(update_fields=[*changed, "updated_at"])
    audit.record(
        actor,
        "institution.update",
        obj=institution,
        institution_id=institution.pk,
        detail={"changed": changed},
    )
    return institution


def activate(*, actor: Actor, code: str) -> Institution:
    """Take an institution into service: it is pulled from now on. Twice is once.

    Raises:
        NotPermitted, InstitutionUnknown: as elsewhere.
        EndpointMissing: there is nothing to ask, and no integrator account that could store.
        StateConflict: it has left; a return is a new onboarding.
    """
    return _change_state(actor=actor, code=code, to=State.ACTIVE, reason="")


def suspend(*, actor: Actor, code: str, reason: str) -> Institution:
    """Ask nothing of an institution until it is activated again; what is archived stays.

    Raises:
        NotPermitted, InstitutionUnknown: as elsewhere.
        ReasonMissing: no reason is given.
        StateConflict: it has left.
    """
    return _change_state(actor=actor, code=code, to=State.SUSPENDED, reason=_reason(reason))


def leave(*, actor: Actor, code: str, reason: str) -> Institution:
    """Record that an institution has left the province's exchange; for good. What is archived stays.

    Raises:
        NotPermitted, InstitutionUnknown: as elsewhere.
        ReasonMissing: no reason is given.
    """
    return _change_state(actor=actor, code=code, to=State.LEFT, reason=_reason(reason))


@transaction.atomic
def _change_state(*, actor: Actor, code: str, to: State, reason: str) -> Institution:
    permissions.require(permissions.may_administer(actor))
    institution = _locked(code)
    if institution.state == to:
        return institution
    if institution.state == State.LEFT:
        raise StateConflict(_("%(name)s has left.") % {"name": institution.name})
    if to == State.ACTIVE and not (hasattr(institution, "endpoint") or _may_push(institution)):
        raise EndpointMissing
    before, institution.state, institution.state_reason = institution.state, to, reason
    institution.save(update_fields=["state", "state_reason", "updated_at"])
    audit.record(
        actor,
        f"institution.{to.value}",
        obj=institution,
        institution_id=institution.pk,
        detail={"from": before, "reason": reason},
    )
    return institution


@transaction.atomic
def restore_institution(facts: InstitutionFacts, *, actor: Actor = "rebuild_index") -> Institution:
    """The institution as the archive remembers it, for rebuilding the index; an existing one stays
    as it is. A restored one is onboarding and has no endpoint: addresses and secrets are not kept
    in the archive."""
    permissions.require(permissions.may_administer(actor))
    existing = Institution.objects.filter(code=facts.code).first()
    if existing is not None:
        return existing
    region, _created = Region.objects.get_or_create(
        code=facts.region_code, defaults={"name": facts.region_name or facts.region_code}
    )
    consortium = None
    if facts.consortium_code:
        consortium, _created = Consortium.objects.get_or_create(
            code=facts.consortium_code,
            defaults={"name": facts.consortium_name or facts.consortium_code, "region": region},
        )
    return add_institution(
        actor=actor,
        code=facts.code,
        name=facts.name,
        region=region,
        consortium=consortium,
        credit_code=facts.credit_code,
        level=facts.level,
        kind=facts.kind,
    )


def _locked(code: str) -> Institution:
    try:
        return Institution.objects.select_for_update(no_key=True).get(code=code)
    except Institution.DoesNotExist:
        raise InstitutionUnknown(_("There is no institution %(code)s.") % {"code": code}) from None


def _may_push(institution: Institution) -> bool:
    """Whether a system of its own may store into it (STOW-RS): then nothing needs to be asked."""
    integrators = permissions.memberships_in_force().filter(role=Membership.Role.INTEGRATOR)
    return integrators.filter(institution=institution).exists()


def _reason(text: str) -> str:
    reason = text.replace("\x00", "").strip()[:200]
    if not reason:
        raise ReasonMissing
    return reason


def _checked(
    *,
    name: str,
    region: Region,
    consortium: Consortium | None,
    credit_code: str,
    level: str,
    kind: str,
) -> dict[str, Any]:
    name = name.strip()
    if not 1 <= len(name) <= 200:
        raise FieldInvalid(_("An institution has a name of 1 to 200 characters."))
    if level not in Institution.Level.values:
        raise FieldInvalid(_one_of(_("level"), Institution.Level.values))
    if kind not in Institution.Kind.values:
        raise FieldInvalid(_one_of(_("kind"), Institution.Kind.values))
    return {
        "name": name,
        "region": region,
        "consortium": consortium,
        "credit_code": _credit_code(credit_code),
        "level": level,
        "kind": kind,
    }


def _one_of(field: str, values: list[str]) -> str:
    return _("The %(field)s is one of: %(values)s.") % {"field": field, "values": ", ".join(values)}


def _credit_code(text: str) -> str:
    if not text.strip():
        return ""
    try:
        return parse_credit_code(text)
    except MalformedCreditCode as error:
        raise CreditCodeInvalid(_("The credit code is not valid (policy P2).")) from error


def _require_credit_code_free(credit_code: str, *, but: int | None) -> None:
    if not credit_code:
        return
    others = Institution.objects.filter(credit_code=credit_code)
    if but is not None:
        others = others.exclude(pk=but)
    if others.exists():
        raise CodeTaken(_("Another institution has this credit code."))
