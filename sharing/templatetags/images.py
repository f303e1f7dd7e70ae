"""The way from any list to the pictures."""

from __future__ import annotations

from typing import Any

from django import template

from sharing.models import Study
from sharing.permissions import decide

register = template.Library()


@register.inclusion_tag("sharing/_open.html", takes_context=True)
def open_images(context: template.Context, study: Study) -> dict[str, Any]:
    """A link that opens the study, what must happen first, or nothing for who may not see its pictures.

    ``study.institution`` is loaded.
    """
    user = context["request"].user
    return {
        "study": study,
        "may_open": bool(decide(user, study)),
    }
