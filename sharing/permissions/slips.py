"""Who holds a film slip: no account and no role, the studies of the slip and nothing else (ADR 0030)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from django.utils import timezone

from sharing.models import FilmSlip
from sharing.permissions.bases import Basis


@dataclass(frozen=True)
class SlipHolder:
    """Stands for a patient, or whoever the patient shows the slip to, after the second factor was right."""

    slip_id: int
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_superuser: ClassVar[bool] = False

    @property
    def pk(self) -> str:
        """No account's: under it nothing of an account is found."""
        return f"slip-{self.slip_id}"


def studies_of_slip(slip_id: int) -> dict[int, Basis]:
    """What a slip shows; nothing once it is revoked or over.

    It shows what an institution that left holds, too: these are the patient's own examinations.
    """
    slip = FilmSlip.objects.filter(
        pk=slip_id, revoked_at__isnull=True, expires_at__gt=timezone.now()
    )
    studies = slip.values_list("shown__study_id", flat=True)
    return {pk: Basis.FILM_SLIP for pk in studies if pk is not None}
