"""What the portal says about persons, regions of the body and reasons."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from sharing.domain.body_parts import BodyPart
from sharing.permissions import Basis
from sharing.selectors.timeline import Narrowing

register = template.Library()

BODY_PARTS: dict[str, Any] = {
    BodyPart.HEAD: _("Head"),
    BodyPart.NECK: _("Neck"),
    BodyPart.CHEST: _("Chest"),
    BodyPart.HEART: _("Heart"),
    BodyPart.BREAST: _("Breast"),
    BodyPart.ABDOMEN: _("Abdomen"),
    BodyPart.PELVIS: _("Pelvis"),
    BodyPart.SPINE: _("Spine"),
    BodyPart.LIMBS: _("Limbs and joints"),
    BodyPart.VESSELS: _("Vessels"),
    BodyPart.WHOLE: _("Whole body"),
}
_BASES: dict[str, Any] = {
    "own-institution": _("own hospital"),
    "consortium-agreement": _("consortium agreement"),
    "encounter": _("open encounter"),
    "consent": _("the patient's consent"),
    "emergency": _("emergency access"),
    "consultation": _("consultation"),
    "film-slip": _("film slip"),
}


@register.filter
def body_part(value: str) -> Any:
    """The name of a region of the body."""
    return BODY_PARTS.get(value, value)


@register.filter
def basis(value: Basis | str | None) -> Any:
    """Why an examination may be seen, in words."""
    return _BASES.get(str(value), "") if value else ""


@register.filter
def report_tone(status: str) -> str:
    """The CSS class of a report's state; the state is said in words beside it."""
    return {"final": "good", "amended": "good", "preliminary": "warn"}.get(status, "")


@register.filter
def sex(value: str) -> Any:
    """A DICOM sex (PS3.3 C.7.1.1) in words; of what is not known or not said nothing."""
    return {"M": _("male"), "F": _("female"), "O": _("other")}.get(value, _("sex not known"))


@register.filter
def age(born: date | None) -> str:
    """How old today; months below two years."""
    if born is None:
        return ""
    today = timezone.localdate()
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if months < 24:
        return ngettext("%(n)s month old", "%(n)s months old", months) % {"n": max(months, 0)}
    years = months // 12
    return ngettext("%(n)s year old", "%(n)s years old", years) % {"n": years}


@register.simple_tag
def narrowed(narrowing: Narrowing, name: str, value: str) -> str:
    """The query of the time line with one choice changed."""
    chosen = {
        "modality": narrowing.modality,
        "part": narrowing.body_part,
        "hospital": narrowing.institution_code,
    } | {name: value}
    return "?" + urlencode({key: each for key, each in chosen.items() if each})
