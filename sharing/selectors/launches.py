"""Sessions of launches, as requests carry them."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.utils import timezone

from common.accounts.models import User
from common.kept import Kept
from sharing.models import Launch, LaunchSystem

# As for other sessions: what has ended is refused within five seconds (DESIGN section 7).
KEEP_S = 3.0


@dataclass(frozen=True)
class LaunchSession:
    """One person, one clinician, until ``expires_at``; ``in_force`` False: it was, and has ended."""

    launch_id: int
    user: User = field(repr=False)
    person_id: int
    person_key: str
    institution_code: str
    origins: tuple[str, ...]
    expires_at: datetime
    in_force: bool

    def actor(self) -> User:
        """The account, narrowed to the person: a copy, so that nothing of it reaches another request."""
        user = copy.copy(self.user)
        user.launch_person_id = self.person_id  # type: ignore[attr-defined]  # read by permissions
        return user


_kept: Kept[bytes, LaunchSession] = Kept(entries=4096, keep_s=KEEP_S)


def digest(text: str) -> bytes:
    """How codes and sessions are kept."""
    return hashlib.sha256(text.encode()).digest()


def session_of(token: str) -> LaunchSession | None:
    """The session of a cookie; None where there never was one.

    It holds while its term lasts, the encounter is open, and account, institution and system are in force.
    """
    key = digest(token)
    found = _kept.get(key)
    if found is None:
        found = _look(key)
        if found is None:
            return None
        _kept.put(key, found)
    if found.in_force and found.expires_at <= timezone.now():
        return replace(found, in_force=False)
    return found


def _look(key: bytes) -> LaunchSession | None:
    now = timezone.now()
    launch = (
        Launch.objects.select_related(
            "user", "patient__person", "institution", "system", "encounter"
        )
        .filter(session=key)
        .first()
    )
    if launch is None:
        return None
    return LaunchSession(
        launch_id=launch.pk,
        user=launch.user,
        person_id=launch.patient.person_id,
        person_key=launch.patient.person.key,
        institution_code=launch.institution.code,
        origins=tuple(launch.system.origins),
        expires_at=launch.expires_at,
        in_force=launch.ended_at is None
        and launch.expires_at > now
        and launch.encounter.closed_at is None
        and launch.encounter.expires_at > now
        and launch.user.is_active
        and launch.system.active
        and launch.institution.state == "active",
    )


def origins_of(institution_code: str) -> tuple[str, ...]:
    """Which pages may hold launched ones of this institution in a frame."""
    rows = LaunchSystem.objects.filter(institution__code=institution_code, active=True)
    return tuple(dict.fromkeys(origin for row in rows for origin in row.origins))


def forget_sessions() -> None:
    """Ask again at the next request, in this process; others follow within ``KEEP_S``."""
    _kept.clear()
