"""The search of the study list, read from a request."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from sharing.models import Study
from sharing.selectors.listing import DEEPEST_PAGE, ORDERS, StudySearch

# What an address may carry. Name, patient ID and accession number come in a form's body only.
_IN_ADDRESS = (
    "since", "until", "modality", "institution_code", "state", "study_instance_uid", "order", "page",
)  # fmt: skip
MODALITIES = ("CT", "MR", "DX", "CR", "US", "MG", "XA", "RF", "NM", "PT", "ES", "SM", "ECG", "SR")


class StudySearchForm(forms.Form):
    """Every field may be empty."""

    patient_name = forms.CharField(label=_("Patient name"), max_length=100, required=False)
    patient_id = forms.CharField(label=_("Patient ID"), max_length=128, required=False)
    accession_number = forms.CharField(label=_("Accession number"), max_length=64, required=False)
    since = forms.DateField(label=_("From"), required=False)
    until = forms.DateField(label=_("To"), required=False)
    modality = forms.CharField(label=_("Modality"), max_length=16, required=False)
    institution_code = forms.CharField(label=_("Hospital"), max_length=64, required=False)
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

    def search(self) -> StudySearch:
        """The question; only after ``is_valid()``."""
        values = {name: value for name, value in self.cleaned_data.items() if value}
        # A NUL cannot be in any column, and PostgreSQL refuses to look for one.
        texts = {
            name: v.replace("\x00", "") if isinstance(v, str) else v for name, v in values.items()
        }
        if "modality" in texts:
            texts["modality"] = texts["modality"].upper()
        return StudySearch(**cast("dict[str, Any]", texts))

    def asked(self) -> dict[str, str]:
        """What was asked, to be sent again with another page; only after ``is_valid()``."""
        values = {name: value for name, value in self.cleaned_data.items() if value}
        values.pop("page", None)
        return {name: str(value) for name, value in values.items()}


def search_form(request: HttpRequest) -> StudySearchForm:
    """The form as it was sent: by POST whole, by address without what identifies a patient."""
    if request.method == "POST":
        return StudySearchForm(request.POST)
    return StudySearchForm({name: request.GET[name] for name in _IN_ADDRESS if name in request.GET})
