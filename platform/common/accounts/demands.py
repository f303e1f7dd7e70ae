"""Who must have a second factor. The roles that ask for one are known above, and told here when they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from common.accounts.models import User
from common.kept import Kept
from common.problem import is_dicomweb

Demand = Callable[[User], bool]

# Of the session: how the second factor was shown. It ends with the session, and whoever takes a factor away
# ends the sessions too, so nothing is asked of the database for it.
MARK = "second_factor"
DEMO_NAMES = "demo-"
KEEP_S = 3.0  # as for sessions and tokens: a role that is given is felt within five seconds

_demands: dict[str, Demand] = {}
_kept: Kept[int, bool] = Kept(entries=4096, keep_s=KEEP_S)


def add(name: str, demand: Demand) -> None:
    """Announce a reason to demand it; announcing the same name again replaces it."""
    _demands[name] = demand


def is_demanded(user: User) -> bool:
    """Whether this person may do nothing without a second factor.

    The accounts of the demo may have one and need none (DESIGN section 5); nobody else is let off.
    """
    if settings.DEMO and user.username.startswith(DEMO_NAMES):
        return False
    found = _kept.get(user.pk)
    if found is None:
        found = (
            user.is_superuser or user.is_staff or any(demand(user) for demand in _demands.values())
        )
        _kept.put(user.pk, found)
    return found


def is_verified(request: HttpRequest) -> bool:
    """Whether the session of this request has shown a second factor."""
    if is_dicomweb(request):
        return bool(getattr(request.user, "session_is_verified", False))
    return MARK in request.session


def is_missing(request: HttpRequest) -> bool:
    """Whether this session may do nothing until its person has set up a second factor."""
    user: Any = request.user  # lazy on pages, so its type says nothing
    return not is_verified(request) and is_demanded(user)


def forget() -> None:
    """Ask again who must have one, in this process; others follow within ``KEEP_S``."""
    _kept.clear()
