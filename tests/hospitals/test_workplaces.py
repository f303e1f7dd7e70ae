"""Which institution is copied into the audit with an account."""

from __future__ import annotations

import datetime as dt

from common import audit
from hospitals.models import Membership


def test_the_one_institution_of_an_account_is_copied(hospital, make_user):
    user = make_user("a", "radiologist", hospital)

    entry = audit.record(user, "login")

    assert (entry.actor_institution_code, entry.actor_institution_name) == ("H1", "省第一人民医院")


def test_who_works_at_two_acts_for_the_one_that_the_entry_is_about(
    hospital, other_hospital, make_user
):
    user = make_user("a", "radiologist", hospital)
    Membership.objects.create(
        user=user, role="clinician", institution=other_hospital, valid_from=dt.date(2021, 1, 1)
    )

    codes = [
        audit.record(user, "study.view", institution_id=about).actor_institution_code
        for about in (other_hospital.pk, hospital.pk, None)
    ]

    assert codes == ["H2", "H1", "H1"]


def test_who_works_nowhere_leaves_it_empty(hospital, make_user):
    assert audit.record(make_user("a"), "login").actor_institution_code == ""
