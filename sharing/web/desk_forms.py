"""What is typed at the desk: an encounter, a consent, a search."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sharing.domain.identities import PatientFacts
from sharing.models import Consent, Encounter
from sharing.services.consents import ConsentScope

SEXES = (("", "–"), ("M", _("male")), ("F", _("female")), ("O", _("other")))
TERMS = (("1", _("1 day")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year")))


class DeskForm(forms.Form):
    """A form whose fields a template renders one by one, with their errors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("autocomplete", "off")


class SearchForm(forms.Form):
    """A number or a name, and which page of both lists."""

    q = forms.CharField(required=False, max_length=128)
    encounters = forms.IntegerField(required=False, min_value=1)
    consents = forms.IntegerField(required=False, min_value=1)


class EncounterForm(DeskForm):
    """The patient in front of the desk, and the visit."""

    number = forms.CharField(label=_("Patient ID"), max_length=128)
    name = forms.CharField(label=_("Patient name"), max_length=100, required=False)
    sex = forms.ChoiceField(label=_("Sex"), choices=SEXES, required=False)
    birth_date = forms.DateField(
        label=_("Born"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    resident_id = forms.CharField(label=_("Resident ID"), max_length=32, required=False)
    phone = forms.CharField(label=_("Phone"), max_length=32, required=False)
    visit_number = forms.CharField(label=_("Visit number"), max_length=64)
    kind = forms.ChoiceField(label=_("Kind of visit"), choices=Encounter.Kind.choices)
    department = forms.CharField(label=_("Department"), max_length=100, required=False)
    attending = forms.CharField(label=_("Attending physician"), max_length=100, required=False)

    def facts(self) -> PatientFacts:
        """What is said of the patient; an empty field says nothing."""
        said = self.cleaned_data
        return PatientFacts(
            name=said["name"] or None,
            birth_date=said["birth_date"],
            sex=said["sex"] or None,
            resident_id=said["resident_id"] or None,
            phone=said["phone"] or None,
        )


class ConsentForm(DeskForm):
    """What the patient allows, and for how long."""

    number = forms.CharField(label=_("Patient ID"), max_length=128)
    given = forms.ChoiceField(label=_("How it was given"), choices=Consent.Given.choices)
    days = forms.ChoiceField(label=_("Term"), choices=TERMS, initial="90")
    modalities = forms.CharField(
        label=_("Only these modalities"), max_length=200, required=False,
        widget=forms.TextInput(attrs={"placeholder": "CT, MR"}),
    )  # fmt: skip
    held_by = forms.MultipleChoiceField(label=_("Only of these hospitals"), required=False)
    since = forms.DateField(
        label=_("Only from this day on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    studies = forms.CharField(
        label=_("Only these studies (UID)"), max_length=4_000, required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )  # fmt: skip

    def __init__(self, *args: Any, hospitals: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen: Any = self.fields["held_by"]
        chosen.choices = hospitals
        chosen.widget.attrs["size"] = 4

    def scope(self) -> ConsentScope:
        """What may be seen."""
        said = self.cleaned_data
        return ConsentScope(
            modalities=_words(said["modalities"]),
            held_by=[int(each) for each in said["held_by"]],
            study_instance_uids=_words(said["studies"]),
            since=said["since"],
        )

    def expires_at(self) -> datetime:
        """When it ends."""
        return timezone.now() + timedelta(days=int(self.cleaned_data["days"]))


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace("，", " ").replace("、", " ").split()
