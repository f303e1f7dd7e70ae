"""Words of the comparison of two patients."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext_lazy as _

from sharing.domain.likeness import Ground

register = template.Library()

_WORDS = {
    Ground.NAME_SAME: _("same name"),
    Ground.NAME_ALIKE: _("name sounds alike"),
    Ground.NAME_DIFFERS: _("another name"),
    Ground.BIRTH_DATE_SAME: _("same birth date"),
    Ground.BIRTH_DATE_DIFFERS: _("another birth date"),
    Ground.SEX_SAME: _("same sex"),
    Ground.SEX_DIFFERS: _("another sex"),
    Ground.PHONE_SAME: _("same phone"),
    Ground.NUMBER_SAME: _("same number of another issuer"),
    Ground.RESIDENT_ID_SAME: _("same resident ID"),
    Ground.RESIDENT_ID_DIFFERS: _("another resident ID"),
    Ground.INSURANCE_CODE_SAME: _("same insurance code"),
    Ground.DOCUMENT_SAME: _("same document"),
    Ground.TAKEN_APART: _("were taken apart before"),
}
_AGAINST = frozenset(
    {
        Ground.NAME_DIFFERS,
        Ground.BIRTH_DATE_DIFFERS,
        Ground.SEX_DIFFERS,
        Ground.RESIDENT_ID_DIFFERS,
        Ground.TAKEN_APART,
    }
)


@register.filter
def ground_words(code: str) -> object:
    """What a ground says."""
    return _WORDS.get(Ground(code), code) if code in set(Ground) else code


@register.filter
def ground_tone(code: str) -> str:
    """The colour of a ground's tag: what speaks against it stands out."""
    if code not in set(Ground):
        return ""
    return "bad" if Ground(code) in _AGAINST else "ok"
