"""The start page: what each role comes for first, then its hospitals and what is arriving at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from common import audit
from common.ui.pages import actor_of, page
from hospitals import selectors as hospitals
from sharing.permissions import SEE_OPERATION, TREAT, Role, sight_of
from sharing.selectors import listing, overview, portal
from sharing.web.forms import QUICK_KINDS

if TYPE_CHECKING:
    from common.accounts.models import User

RECENT_SHOWN = 10


@dataclass(frozen=True)
class Errand:
    """One thing that a role comes for, and where it is done."""

    url: str
    title: Any
    text: Any


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """``GET /``. htmx asks again every two seconds while something is open, else now and then."""
    actor = actor_of(request)
    held = hospitals.memberships_of(actor)
    roles = {each.role for each in held}
    steers = actor.is_superuser or bool(roles & (SEE_OPERATION | {Role.AUDITOR}))
    context: dict[str, object] = {
        "overview": overview.province(actor=actor, now=timezone.now()),
        "may_list": listing.may_list(actor),
        "compact": not steers,
    }
    if not request.headers.get("HX-Request"):
        context |= {
            "province": _province_name(),
            "workplaces": sorted({each.institution_name for each in held if each.institution_name}),
            "errands": _errands(roles, held),
            "reads": bool(roles & TREAT) and sight_of(actor).sees_something,
            "subject": actor,
        }
        if context["reads"]:
            context |= _desk_of_reader(actor)
            # Names of patients stand on it: those opened lately, and the newest of the own hospital.
            audit.record_view(actor, "home.list", object_type="study-list", purpose="list")
    return page(request, "sharing/home.html", context, fragment="sharing/_province.html")


def _desk_of_reader(actor: User) -> dict[str, object]:
    """What a radiologist or clinician goes on with."""
    return {
        "quick_kinds": QUICK_KINDS,
        "recent": portal.list_recent(actor=actor, limit=RECENT_SHOWN),
        "saved": portal.list_saved(actor=actor),
        "newest": listing.newest_own(actor=actor),
    }


def _errands(roles: set[str], held: tuple[hospitals.RoleAt, ...]) -> list[Errand]:
    """Where the other roles begin. Each leads to a page that the role may open."""
    own = next((each.institution_code for each in held if each.institution_code), "")
    found: list[Errand] = []
    if Role.INSTITUTION_ADMIN in roles and own:
        found += [
            Errand(
                reverse("hospitals:hospital", args=[own]),
                _("My hospital"),
                _("Connection, backlog, endpoint and what arrives now"),
            ),
            Errand(
                reverse("sharing:operations"),
                _("Faults"),
                _("Transfers that failed, and files in quarantine to be settled"),
            ),
        ]
    if roles & {Role.INSTITUTION_ADMIN, Role.COMMISSION}:
        found.append(
            Errand(
                reverse("hospitals:people"),
                _("People"),
                _("Who works where, invitations, systems and their tokens"),
            )
        )
    if Role.INTEGRATOR in roles and own:
        found += [
            Errand(
                reverse("hospitals:hospital", args=[own]),
                _("My endpoint"),
                _("What was probed, and how the archive answers"),
            ),
            Errand(
                reverse("api-docs"), _("Interfaces"), _("REST, DICOMweb and FHIR with examples")
            ),
        ]
    if roles & SEE_OPERATION:
        found += [
            Errand(
                reverse("hospitals:list"),
                _("Hospitals"),
                _("Who is connected, how fresh, how complete"),
            ),
            Errand(
                reverse("sharing:operations"),
                _("Faults"),
                _("Transfers that failed, and files in quarantine to be settled"),
            ),
        ]
    if Role.AUDITOR in roles:
        found.append(
            Errand(
                reverse("hospitals:list"),
                _("Hospitals"),
                _("What each hospital has in the archive, without any patient"),
            )
        )
    return found


def _province_name() -> str:
    root = hospitals.regions().filter(parent__isnull=True).first()
    return root.name if root else ""
