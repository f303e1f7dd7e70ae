"""Each sentence that the database holds, broken once."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, transaction

from hospitals.models import Consortium, Endpoint, Institution, Membership, Probe, Region

TODAY = dt.date(2026, 11, 22)


def breaks(name: str):
    return pytest.raises(IntegrityError, match=name)


def test_region_code_is_six_digits(db):
    with breaks("region_code_is_six_digits"):
        Region.objects.create(code="42000x", name="x")


def test_consortium_code_is_plain(region):
    with breaks("consortium_code_is_plain"):
        Consortium.objects.create(code="a/b", name="x", region=region)


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("institution_code_is_plain", {"code": "../x"}),
        ("institution_credit_code_has_its_form", {"credit_code": "91350100M000100Y4I"}),
        ("institution_suspended_or_left_says_why", {"state": "suspended"}),
        ("institution_suspended_or_left_says_why", {"state": "active", "state_reason": "x"}),
    ],
)
def test_institution(region, constraint, changes):
    with breaks(constraint):
        Institution.objects.create(**{"code": "H9", "name": "x", "region": region} | changes)


def test_institution_credit_code_is_one_institutions(region):
    facts = {"name": "x", "region": region, "credit_code": "91350100M000100Y43"}
    Institution.objects.create(code="A", **facts)

    with breaks("institution_credit_code_is_one_institutions"):
        Institution.objects.create(code="B", **facts)


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("endpoint_has_the_address_of_its_kind", {"folder": "/x"}),
        ("endpoint_has_the_address_of_its_kind", {"kind": "folder"}),
        ("endpoint_concurrency_is_at_least_one", {"concurrency": 0}),
        ("endpoint_quiet_hours_are_whole", {"quiet_from": dt.time(8)}),
        ("endpoint_quiet_hours_are_whole", {"quiet_from": dt.time(8), "quiet_until": dt.time(8)}),
        ("endpoint_auth_has_its_secret", {"auth": "basic"}),
        ("endpoint_auth_has_its_secret", {"secret": b"x"}),
        ("endpoint_bandwidth_is_positive", {"bandwidth_bytes_per_s": 0}),
        ("endpoint_timeouts_are_positive", {"read_timeout_s": 0}),
        ("endpoint_error_has_code_and_instant", {"last_error_code": "x"}),
    ],
)
def test_endpoint(hospital, constraint, changes):
    facts = {"institution": hospital, "kind": "dicomweb", "base_url": "http://a"}

    with breaks(constraint):
        Endpoint.objects.create(**facts | changes)


def test_probe_that_failed_says_why(endpoint):
    with breaks("probe_that_failed_says_why"):
        Probe.objects.create(endpoint=endpoint, reachable=False)


@pytest.mark.parametrize(
    ("role", "at_hospital"), [("commission", True), ("radiologist", False), ("emperor", True)]
)
def test_membership_role_has_its_scope(make_user, hospital, role, at_hospital):
    user = make_user("u")

    with breaks("membership_role_has_its_scope"):
        Membership.objects.create(
            user=user,
            role=role,
            institution=hospital if at_hospital else None,
            valid_from=TODAY,
        )


def test_membership_open_once_per_user_institution_and_role(make_user):
    user = make_user("u")
    facts = {"user": user, "role": "commission", "institution": None}
    Membership.objects.create(valid_from=TODAY, **facts)

    with breaks("membership_open_once"), transaction.atomic():
        Membership.objects.create(valid_from=TODAY - dt.timedelta(days=1), **facts)


def test_membership_does_not_end_before_it_starts(make_user):
    with breaks("membership_does_not_end_before_it_starts"):
        Membership.objects.create(
            user=make_user("u"),
            role="operator",
            valid_from=TODAY,
            valid_until=TODAY - dt.timedelta(days=1),
        )
