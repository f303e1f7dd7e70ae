"""Who may see which examination, decided in one place, with the reason that goes into the audit (DESIGN section 7)."""

from sharing.permissions import sights
from sharing.permissions.bases import (
    LEFT,
    SEE_CONSORTIUM,
    SEE_OPERATION,
    SEE_OWN,
    SEES_NO_PARTNER,
    TREAT,
    Basis,
    Role,
    strongest,
)
from sharing.permissions.conditions import (
    beyond_condition,
    person_arms,
    sight_condition,
    visible,
)
from sharing.permissions.desk import registers_at, require_desk, sits_at, treats_at
from sharing.permissions.grounds import consents_in_force, emergencies_in_force, open_encounters
from sharing.permissions.sights import (
    KEEP_S,
    NOTHING,
    Decision,
    Sight,
    decide,
    launch_of,
    sight_of,
    viewer_key,
)
from sharing.permissions.slips import SlipHolder
from sharing.permissions.storing import StoreTarget, forget_targets, store_targets

__all__ = [
    "KEEP_S",
    "LEFT",
    "NOTHING",
    "SEES_NO_PARTNER",
    "SEE_CONSORTIUM",
    "SEE_OPERATION",
    "SEE_OWN",
    "TREAT",
    "Basis",
    "Decision",
    "Role",
    "Sight",
    "SlipHolder",
    "StoreTarget",
    "beyond_condition",
    "consents_in_force",
    "decide",
    "emergencies_in_force",
    "forget_sights",
    "launch_of",
    "open_encounters",
    "person_arms",
    "registers_at",
    "require_desk",
    "sight_condition",
    "sight_of",
    "sits_at",
    "store_targets",
    "strongest",
    "treats_at",
    "viewer_key",
    "visible",
]


def forget_sights() -> None:
    """Decide anew at the next request, in this process; others follow within ``KEEP_S``."""
    sights.forget_sights()
    forget_targets()
