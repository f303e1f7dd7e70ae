"""Unusual access as a reviewer may read it."""

from __future__ import annotations

from django.db.models import Count, F, Q, QuerySet

from common.errors import NotFound
from sharing.models import AccessFinding
from sharing.selectors.audit_trail import Scope


def list_findings(*, scope: Scope, state: str = "", kind: str = "") -> QuerySet[AccessFinding]:
    """Findings, the newest first."""
    rows = AccessFinding.objects.filter(_of(scope)).select_related("actor", "reviewed_by")
    if state:
        rows = rows.filter(state=state)
    if kind:
        rows = rows.filter(kind=kind)
    return rows.order_by(F("last_at").desc(), F("id").desc())


def get_finding(*, scope: Scope, finding_id: int) -> AccessFinding:
    """One finding.

    Raises:
        NotFound: there is none, or it is none of this reviewer's.
    """
    row = list_findings(scope=scope).filter(pk=finding_id).select_related("emergency").first()
    if row is None:
        raise NotFound("There is no such finding.")
    return row


def open_by_kind(*, scope: Scope) -> dict[str, int]:
    """How many wait for a review, by kind."""
    rows = AccessFinding.objects.filter(_of(scope), state=AccessFinding.State.OPEN)
    return dict(rows.order_by("kind").values_list("kind").annotate(many=Count("pk")))


def _of(scope: Scope) -> Q:
    if scope.province:
        return Q()
    return Q(actor_institution_code__in=list(scope.institutions.values())) | Q(
        institution_ids__overlap=list(scope.institutions)
    )
