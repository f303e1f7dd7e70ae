"""What a reviewer asks the trail."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.audit.actions import ACTIONS
from common.audit.search import TrailSearch
from hospitals import selectors as hospitals
from hospitals.errors import InstitutionUnknown
from sharing.permissions import Basis
from sharing.selectors.audit_trail import Identity, account_id

RESULTS = (
    ("success", _("Success")),
    ("refused", _("Refused")),
    ("not-found", _("Not found")),
    ("failure", _("Failed")),
)
DEFAULT_DAYS = 30


def action_choices() -> list[tuple[str, Any]]:
    """Every action by its words, in the order of their codes."""
    return [(code, ACTIONS[code].label) for code in sorted(ACTIONS)]


class TrailForm(forms.Form):
    """Nothing of it says who a patient is, so it may stand in an address."""

    since = forms.DateField(required=False)
    until = forms.DateField(required=False)
    actor = forms.CharField(required=False, max_length=200)
    workplace = forms.CharField(required=False, max_length=64)
    institution = forms.CharField(required=False, max_length=64)
    action = forms.CharField(required=False, max_length=64)
    basis = forms.CharField(required=False, max_length=64)
    result = forms.CharField(required=False, max_length=32)
    person = forms.CharField(required=False, max_length=64)
    study = forms.CharField(required=False, max_length=64)

    def wanted(self) -> TrailSearch:
        """The search; without a beginning that of the last month."""
        given = self.cleaned_data
        actor = given["actor"].strip()
        actor_id = account_id(actor) if actor else None
        since = given["since"] or timezone.localdate() - timedelta(days=DEFAULT_DAYS)
        return TrailSearch(
            since=_midnight(since),
            until=_midnight(given["until"] + timedelta(days=1)) if given["until"] else None,
            actor="" if actor_id else actor,
            actor_id=actor_id,
            workplace=given["workplace"].strip(),
            institution_id=_institution(given["institution"].strip()),
            action=given["action"],
            basis=given["basis"],
            result=given["result"],
            person_key=given["person"].strip(),
            study_instance_uid=given["study"].strip(),
        )


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_default_timezone())


def _institution(code: str) -> int | None:
    if not code:
        return None
    try:
        return hospitals.get_institution(code=code).pk
    except InstitutionUnknown:
        return 0  # finds nothing


def basis_choices() -> list[str]:
    """Every basis of an access."""
    return [each.value for each in Basis]


class IdentityForm(forms.Form):
    """By what the patient is found who asks; sent by POST alone."""

    resident_id = forms.CharField(required=False, max_length=32)
    card = forms.CharField(required=False, max_length=64)
    insurance_code = forms.CharField(required=False, max_length=64)
    phone = forms.CharField(required=False, max_length=32)
    number = forms.CharField(required=False, max_length=128)
    institution_code = forms.CharField(required=False, max_length=64)

    def identity(self) -> Identity:
        """What was given."""
        return Identity(**{name: value.strip() for name, value in self.cleaned_data.items()})
