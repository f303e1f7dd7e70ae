"""Where an archive answers, as a person fills it in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from hospitals.domain import secrets
from hospitals.domain.quantities import format_rate, parse_rate
from hospitals.models import Endpoint
from hospitals.services import EndpointSettings

CHARACTER_SETS = ("GB18030", "GBK", "ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 58")
SECRETS = sorted(
    {
        name
        for names in (secrets.REQUIRED, secrets.OPTIONAL)
        for one in names.values()
        for name in one
    }
)


class EndpointForm(forms.Form):
    """Every field of an endpoint. A secret is written and never shown: left empty, the stored one stays."""

    base_url = forms.CharField(max_length=500, required=False)
    folder = forms.CharField(max_length=500, required=False)
    auth = forms.ChoiceField(choices=Endpoint.Auth.choices)
    concurrency = forms.IntegerField(min_value=1, max_value=64)
    bandwidth = forms.CharField(max_length=40, required=False)
    quiet_from = forms.TimeField(required=False)
    quiet_until = forms.TimeField(required=False)
    connect_timeout_s = forms.FloatField(min_value=0.1, max_value=3600)
    read_timeout_s = forms.FloatField(min_value=0.1, max_value=3600)
    character_set = forms.CharField(max_length=32, required=False)

    def clean_bandwidth(self) -> int | None:
        text = self.cleaned_data["bandwidth"]
        if not text:
            return None
        try:
            return parse_rate(text)
        except (ValueError, OverflowError):
            raise forms.ValidationError(_("Write a rate such as 20MB/s.")) from None

    def settings(self) -> EndpointSettings:
        """What is to be set; only after ``is_valid()``."""
        values: dict[str, Any] = dict(self.cleaned_data)
        values["bandwidth_bytes_per_s"] = values.pop("bandwidth")
        return EndpointSettings(**values, secret=self._secret(values["auth"]))

    def _secret(self, auth: str) -> dict[str, str] | None:
        """What this kind of authentication needs, as far as it was filled in; none where nothing was."""
        wanted = secrets.REQUIRED[auth] | secrets.OPTIONAL.get(auth, frozenset())
        given = {name: self.data.get(f"secret_{name}", "") for name in sorted(wanted)}
        return {name: value for name, value in given.items() if value} or None


def endpoint_values(endpoint: Endpoint | None) -> dict[str, Any]:
    """The form of a stored endpoint, or of a new one; never with its secret."""
    row = endpoint or Endpoint()
    return {
        "base_url": row.base_url,
        "folder": row.folder,
        "auth": row.auth,
        "concurrency": row.concurrency,
        "bandwidth": format_rate(row.bandwidth_bytes_per_s) if row.bandwidth_bytes_per_s else "",
        "quiet_from": f"{row.quiet_from:%H:%M}" if row.quiet_from else "",
        "quiet_until": f"{row.quiet_until:%H:%M}" if row.quiet_until else "",
        "connect_timeout_s": f"{row.connect_timeout_s:g}",
        "read_timeout_s": f"{row.read_timeout_s:g}",
        "character_set": row.character_set,
    }
