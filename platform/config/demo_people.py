"""People of the demo besides those who log in: somebody for a term only, and somebody who comes later."""

from __future__ import annotations

import datetime as dt

from common.accounts import people
from hospitals import selectors, services
from hospitals.permissions import today

ACTOR = "demo"
# User name, name, role, days from today: the first one, and the first one without the role.
TERMS = (
    ("demo-fellow", "进修医师（限期）", "radiologist", 0, 90),
    ("demo-newcomer", "下月入职医师", "clinician", 30, None),
)


def seed(*, institution_code: str) -> None:
    """Add them once. Nobody logs in as them: their one-time passwords are told to nobody."""
    institution = selectors.get_institution(code=institution_code)
    for username, name, role, begins, ends in TERMS:
        try:
            people.get_person(username=username)
        except people.AccountUnknown:
            user, _password = people.create_person(actor=ACTOR, username=username, name=name)
            services.grant_membership(
                actor=ACTOR,
                user=user,
                role=role,
                institution=institution,
                valid_from=today() + dt.timedelta(days=begins),
                valid_until=None if ends is None else today() + dt.timedelta(days=ends),
            )
