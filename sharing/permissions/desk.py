"""Who may register encounters, consents and slips at an institution, and who may break the glass."""

from __future__ import annotations

from typing import Any

from common.errors import NotPermitted
from sharing.permissions.sights import sight_of


def registers_at(actor: Any) -> frozenset[int]:
    """The institutions for which ``actor`` may register, people and systems alike; none in a launch."""
    sight = sight_of(actor)
    return sight.own if sight.only_person is None else frozenset()


def sits_at(actor: Any) -> frozenset[int]:
    """Those of them at whose desk ``actor`` sits: no systems."""
    return sight_of(actor).desks


def treats_at(actor: Any) -> frozenset[int]:
    """The institutions where ``actor`` treats patients and that take part in sharing; none in a launch."""
    return sight_of(actor).treats


def require_desk(actor: Any, institution_id: int) -> None:
    """Refuse unless ``actor`` registers for this institution, or is a part of this system (a text).

    Raises:
        NotPermitted: it does not.
    """
    if not isinstance(actor, str) and institution_id not in registers_at(actor):
        raise NotPermitted("Only those who work at the institution may register there.")
