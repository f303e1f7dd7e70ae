"""The search of the study list, read from a request."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.ui.pages import actor_of
from sharing.domain.body_parts import BodyPart
from sharing.domain.quick import Kind, kind_of
from sharing.models import Study
from sharing.selectors.listing import DEEPEST_PAGE, ORDERS, StudySearch
from sharing.selectors.portal import get_saved

# What an address may carry. What identifies a patient comes in a form's body only.
_IN_ADDRESS = (
    "period", "since", "until", "modality", "body_part", "institution_code", "state", "study_instance_uid", "order",
    "page",
)  # fmt: skip
MODALITIES = ("CT", "MR", "DX", "CR", "US", "MG", "XA", "RF", "NM", "PT", "ES", "SM", "ECG", "SR")
# Days before today that a period begins; it ends today.
_PERIODS = {"today": 0, "3d": 2, "7d": 6, "30d": 29, "1y": 364}
PERIODS = [
    ("", _("any time, or from – to")),
    ("today", _("today")),
    ("3d", _("last 3 days")),
    ("7d", _("last 7 days")),
    ("30d", _("last 30 days")),
    ("1y", _("last year")),
]
QUICK_KINDS = [
    (Kind.AUTO, _("as it looks")),
    (Kind.RESIDENT_ID, _("resident ID")),
    (Kind.INSURANCE_CODE, _("insurance person code")),
    (Kind.CARD, _("health card")),
    (Kind.PASSPORT, _("passport")),
    (Kind.HMT_PERMIT, _("permit of Hong Kong, Macau or Taiwan")),
    (Kind.BIRTH, _("birth certificate")),
    (Kind.OTHER, _("other document")),
    (Kind.PHONE, _("phone")),
    (Kind.NAME, _("name")),
    (Kind.NUMBER, _("patient or accession number")),
]
QUICK_WORDS = dict(QUICK_KINDS)
SEXES = [("", _("all")), ("F", _("female")), ("M", _("male")), ("O", _("other"))]


class StudySearchForm(forms.Form):
    """Every field may be empty."""

    quick = forms.CharField(label=_("Patient"), max_length=128, required=False)
    quick_kind = forms.ChoiceField(label=_("What it is"), choices=QUICK_KINDS, required=False)
    patient_name = forms.CharField(label=_("Patient name"), max_length=100, required=False)
    sex = forms.ChoiceField(label=_("Sex"), choices=SEXES, required=False)
    birth_date = forms.DateField(label=_("Born"), required=False)
    patient_id = forms.CharField(label=_("Patient ID"), max_length=128, required=False)
    accession_number = forms.CharField(label=_("Accession number"), max_length=64, required=False)
    period = forms.ChoiceField(label=_("Period"), choices=PERIODS, required=False)
    since = forms.DateField(label=_("From"), required=False)
    until = forms.DateField(label=_("To"), required=False)
    modality = forms.CharField(label=_("Modality"), max_length=16, required=False)
    body_part = forms.ChoiceField(
        label=_("Body part"),
        choices=[("", ""), *((p.value, p.value) for p in BodyPart)],
        required=False,
    )
    institution_code = forms.CharField(label=_("Hospital"), max_length=200, required=False)
    state = forms.ChoiceField(
        label=_("State"), choices=[("", ""), *Study.State.choices], required=False
    )
    study_instance_uid = forms.CharField(label="Study Instance UID", max_length=64, required=False)
    order = forms.ChoiceField(choices=[(name, name) for name in ORDERS], required=False)
    page = forms.IntegerField(min_value=1, max_value=DEEPEST_PAGE, required=False)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day lies before the first."))
        return values

    def what(self) -> tuple[Kind, str]:
        """What stands in the one field, and what it is taken for; only after ``is_valid()``."""
        text = str(self.cleaned_data.get("quick") or "").replace("\x00", "").strip()
        kind = Kind(self.cleaned_data.get("quick_kind") or Kind.AUTO)
        return (kind_of(text) if kind is Kind.AUTO else kind), text

    def search(self) -> StudySearch:
        """The question without what only an identity search answers; only after ``is_valid()``."""
        known = {field.name for field in fields(StudySearch)}
        values = {
            name: value for name, value in self.cleaned_data.items() if value and name in known
        }
        # A NUL cannot be in any column, and PostgreSQL refuses to look for one.
        texts = {
            name: v.replace("\x00", "") if isinstance(v, str) else v for name, v in values.items()
        }
        if "modality" in texts:
            texts["modality"] = texts["modality"].upper()
        kind, quick = self.what()
        if quick and kind is Kind.NAME:
            texts["patient_name"] = f"{texts.get('patient_name', '')} {quick}".strip()
        if quick and kind is Kind.NUMBER:
            texts["number"] = quick
        days = _PERIODS.get(self.cleaned_data.get("period") or "")
        if days is not None:
            texts["since"] = timezone.localdate() - timedelta(days=days)
            texts.pop("until", None)
        return StudySearch(**cast("dict[str, Any]", texts))

    def asked(self) -> dict[str, str]:
        """What was asked, to be sent again with another page; only after ``is_valid()``."""
        values = {name: value for name, value in self.cleaned_data.items() if value}
        values.pop("page", None)
        return {name: str(value) for name, value in values.items()}


def search_form(request: HttpRequest) -> StudySearchForm:
    """The form as it was sent: by POST whole, by address without what identifies a patient.

    Raises:
        NotFound: ``saved`` names no search of this account.
    """
    if request.method == "POST":
        return StudySearchForm(request.POST)
    if request.GET.get("saved", "").isdecimal():
        saved = get_saved(actor=actor_of(request), search_id=int(request.GET["saved"][:18]))
        return StudySearchForm(saved.filters)
    return StudySearchForm({name: request.GET[name] for name in _IN_ADDRESS if name in request.GET})
