"""What the pages say about sizes, states, names and errors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.context import Context
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from common.ui import panels as slots
from common.ui import sections as tabs
from common.ui.words import Words
from common.ui.words import words as words_of

register = template.Library()

_TONES = {
    "active": "good", "archived": "good", "verified": "good", "done": "good", "settled": "good",
    "pulling": "busy", "running": "busy", "handed": "busy", "stored": "busy", "waiting": "busy",
    "onboarding": "busy",
    "incomplete": "warn", "suspended": "warn", "open": "warn", "received": "busy",
    "failed": "bad", "left": "bad",
    "asked": "busy", "accepted": "busy", "answered": "good", "declined": "warn", "expired": "warn",
    "final": "good", "amended": "good", "preliminary": "warn", "cancelled": "bad", "entered-in-error": "bad",
}  # fmt: skip


@register.filter
def tone(state: str) -> str:
    """The CSS class of a state; the state is always said in words beside it."""
    return _TONES.get(state, "")


@register.filter
def size(value: float | None) -> str:
    """A number of bytes in decimal units, three figures at most."""
    amount = float(value or 0)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5 or unit == "TB":
            break
        amount /= 1000
    places = 0 if unit == "B" or amount >= 100 else 1
    return f"{number_format(round(amount, places), decimal_pos=places)} {unit}"


@register.filter
def rate(bytes_per_s: float | None) -> str:
    """A throughput in MB/s."""
    return f"{number_format(round((bytes_per_s or 0) / 1e6, 1), decimal_pos=1)} MB/s"


@register.filter
def ago(at: datetime | None) -> str:
    """How long ago, in one unit; "never" where there was none."""
    if at is None:
        return _("never")
    seconds = int((timezone.now() - at).total_seconds())
    if seconds < 60:
        return _("just now")
    if seconds < 3600:
        minutes = seconds // 60
        return ngettext("%(n)s minute ago", "%(n)s minutes ago", minutes) % {"n": minutes}
    if seconds < 86400:
        hours = seconds // 3600
        return ngettext("%(n)s hour ago", "%(n)s hours ago", hours) % {"n": hours}
    days = seconds // 86400
    return ngettext("%(n)s day ago", "%(n)s days ago", days) % {"n": days}


@register.filter
def person_name(value: str) -> str:
    """A DICOM person name for readers: the ideographic group first where there is one (PS3.5 §6.2.1)."""
    groups = [" ".join(part for part in group.split("^") if part) for group in value.split("=")]
    latin, han = groups[0], groups[1] if len(groups) > 1 else ""
    # Chinese names are written without a space between family and given name.
    han = han.replace(" ", "") if not han.isascii() else han
    if han and latin and han != latin:
        return f"{han} ({latin})"
    shown = han or latin
    return shown if shown.isascii() else shown.replace(" ", "")


@register.filter
def masked_name(value: str) -> str:
    """The first character and an asterisk (policy P5)."""
    shown = person_name(value)
    return f"{shown[:1]}*" if shown else ""


@register.filter
def masked_number(value: str) -> str:
    """Nothing but that there is a number: hospitals' patient numbers have no form that could stay visible."""
    return "***" if value else ""


@register.filter
def dicom_time(value: str) -> str:
    """Hours and minutes of a DICOM TM value (PS3.5 §6.2)."""
    return f"{value[:2]}:{value[2:4]}" if len(value) >= 4 and value[:4].isdigit() else ""


@register.filter
def words(code: str) -> Words:
    """What an error code means and what to do."""
    return words_of(code)


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """An entry of a mapping by a variable key."""
    return mapping.get(key) if mapping else None


@register.filter
def share(part: float | None, whole: float | None) -> int:
    """Part of the whole in full percent, 100 only when nothing is missing."""
    if not whole:
        return 0
    percent = int(100 * (part or 0) / whole)
    return min(percent, 100)


@register.filter
def yes_no(value: bool | None) -> str:
    """Yes, no, or that it could not be measured."""
    if value is None:
        return _("not measured")
    return _("yes") if value else _("no")


@register.simple_tag(takes_context=True)
def panels(context: Context, slot: str, subject: Any) -> SafeString:
    """The panels that other modules put into this slot."""
    request: HttpRequest = context["request"]
    parts = slots.render(slot, request=request, subject=subject)
    return mark_safe("\n".join(parts))  # noqa: S308 - each part is a rendered template already


@register.inclusion_tag("ui/_sections.html", takes_context=True)
def sections(context: Context, code: str, institution_id: int) -> dict[str, Any]:
    """The tabs of an institution's pages that this reader gets."""
    request: HttpRequest = context["request"]
    return {"links": tabs.links(request, code=code, institution_id=institution_id)}
