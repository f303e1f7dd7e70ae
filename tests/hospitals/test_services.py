"""Writes about members of the province, with PostgreSQL."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from common.audit.models import AuditEntry
from common.dicomweb.errors import (
    AddressNotAllowed,
    OriginNotFound,
    OriginRefused,
    OriginTimeout,
)
from common.errors import NotPermitted
from hospitals import errors, selectors, services
from hospitals.domain.policy import InstitutionFacts
from hospitals.models import Endpoint, Institution, Membership
from hospitals.services import EndpointSettings
from hospitals.services.origins import origin_config

ACTOR = "test"
URL = "http://127.0.0.1:9/dicom-web"


def set_endpoint(hospital, actor=ACTOR, **facts):
    return services.set_endpoint(
        actor=actor, institution=hospital, endpoint=EndpointSettings(**facts)
    )


def test_a_new_institution_is_onboarding_and_in_the_audit(hospital):
    assert hospital.state == "onboarding"
    assert AuditEntry.objects.filter(action="institution.add").count() == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "a/b"}, errors.CodeInvalid),
        ({"code": "H1"}, errors.CodeTaken),
        ({"name": "  "}, errors.FieldInvalid),
        ({"level": "fourth"}, errors.FieldInvalid),
        ({"credit_code": "91350100M000100Y44"}, errors.CreditCodeInvalid),
    ],
)
def test_an_institution_with_a_value_that_has_not_its_form_is_refused(
    hospital, region, changes, error
):
    facts = {"actor": ACTOR, "code": "H3", "name": "x", "region": region} | changes

    with pytest.raises(error):
        services.add_institution(**facts)


def test_a_credit_code_is_stored_in_capitals_and_is_one_institutions(hospital, region):
    changed = services.update_institution(actor=ACTOR, code="H1", credit_code="91350100m000100y43")

    assert changed.credit_code == "91350100M000100Y43"
    with pytest.raises(errors.CodeTaken):
        services.add_institution(
            actor=ACTOR, code="H3", name="x", region=region, credit_code="91350100M000100Y43"
        )


def test_suspending_needs_a_reason_and_activation_clears_it(hospital):
    set_endpoint(hospital, base_url=URL)
    services.activate(actor=ACTOR, code="H1")

    with pytest.raises(errors.ReasonMissing):
        services.suspend(actor=ACTOR, code="H1", reason=" ")
    assert services.suspend(actor=ACTOR, code="H1", reason="move").state_reason == "move"
    assert services.activate(actor=ACTOR, code="H1").state_reason == ""


def test_an_institution_without_endpoint_cannot_be_activated(hospital):
    with pytest.raises(errors.EndpointMissing):
        services.activate(actor=ACTOR, code="H1")


def test_an_institution_whose_pacs_stores_by_itself_needs_no_endpoint(hospital):
    pacs = get_user_model().objects.create(username="pacs", is_system=True)
    Membership.objects.create(
        user=pacs, role="integrator", institution=hospital, valid_from="2025-01-01"
    )

    assert services.activate(actor=ACTOR, code="H1").state == "active"


def test_an_institution_that_left_does_not_come_back(hospital):
    set_endpoint(hospital, base_url=URL)
    services.leave(actor=ACTOR, code="H1", reason="closed")

    with pytest.raises(errors.StateConflict):
        services.activate(actor=ACTOR, code="H1")


def test_nothing_is_asked_of_a_suspended_institution(hospital):
    set_endpoint(hospital, base_url=URL)
    services.suspend(actor=ACTOR, code="H1", reason="move")

    with (
        pytest.raises(errors.HospitalSuspended),
        services.open_origin(institution_id=hospital.pk),
    ):
        pytest.fail("must not open")
    assert selectors.list_pullable() == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "http://u:p@a/",
        "http://169.254.169.254/",
        "http://[::]/",
        "nonsense",
        "http://",
    ],
)
def test_an_address_that_is_not_http_to_an_allowed_network_is_refused(hospital, url):
    with pytest.raises(AddressNotAllowed):
        set_endpoint(hospital, base_url=url)


def test_loopback_is_refused_unless_the_setting_allows_it(hospital, settings):
    settings.ALLOW_LOOPBACK_HOSPITALS = False

    with pytest.raises(AddressNotAllowed):
        set_endpoint(hospital, base_url=URL)


@pytest.mark.parametrize("folder", ["relative/path", "/no/such/folder", "/etc/hostname"])
def test_a_folder_must_be_absolute_existing_and_readable(hospital, folder):
    with pytest.raises(errors.FolderUnusable):
        set_endpoint(hospital, folder=folder)


def test_a_folder_outside_the_allowed_ones_is_refused_also_by_a_link(
    hospital, settings, tmp_path, folder
):
    inside, outside = folder / "2024", tmp_path / "elsewhere"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    settings.HOSPITAL_FOLDERS = (folder,)

    set_endpoint(hospital, folder=str(inside))
    for refused in (outside, folder / "link", folder / ".." / "elsewhere"):
        with pytest.raises(errors.FolderUnusable, match="HOSPITAL_FOLDERS"):
            set_endpoint(hospital, folder=str(refused))

    assert Endpoint.objects.get().folder == str(inside)


def test_a_folder_that_is_no_longer_allowed_is_not_read(hospital, settings, tmp_path, folder):
    set_endpoint(hospital, folder=str(folder))
    settings.HOSPITAL_FOLDERS = (tmp_path / "elsewhere",)

    probe = services.probe(actor="test", institution=hospital)

    assert (probe.reachable, probe.error_code) == (False, "address-not-allowed")


def test_a_folder_that_holds_our_own_data_is_refused(hospital, settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"

    with pytest.raises(errors.FolderUnusable):
        set_endpoint(hospital, folder=str(tmp_path))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"base_url": URL, "folder": "/tmp"},
        {"base_url": URL, "concurrency": 0},
        {"base_url": URL, "bandwidth_bytes_per_s": 0},
        {"base_url": URL, "read_timeout_s": float("nan")},
        {"base_url": URL, "quiet_from": dt.time(8)},
        {"base_url": URL, "character_set": "klingon"},
        {"base_url": URL, "auth": "basic"},
        {"base_url": URL, "auth": "basic", "secret": {"username": "u"}},
        {"base_url": URL, "secret": {"token": "t"}},
        {"base_url": URL, "auth": "telepathy"},
        {"base_url": URL, "auth": "certificate", "secret": {"certificate": "x", "key": "y"}},
    ],
)
def test_endpoint_settings_that_cannot_be_used_are_refused(hospital, facts):
    with pytest.raises(errors.EndpointInvalid):
        set_endpoint(hospital, **facts)


def test_a_secret_is_encrypted_in_the_table_and_clear_for_the_client(hospital):
    row = set_endpoint(
        hospital, base_url=URL, auth="basic", secret={"username": "u", "password": "p4ssw0rd"}
    )

    row.refresh_from_db()
    assert b"p4ssw0rd" not in bytes(row.secret)
    assert origin_config(row).secret == {"username": "u", "password": "p4ssw0rd"}


def test_a_secret_stays_for_the_same_address_and_is_never_sent_to_another(hospital):
    facts = {"auth": "bearer", "base_url": URL}
    set_endpoint(hospital, secret={"token": "t"}, **facts)

    kept = set_endpoint(hospital, concurrency=2, **facts)

    assert origin_config(kept).secret == {"token": "t"}
    with pytest.raises(errors.EndpointInvalid):
        set_endpoint(hospital, **facts | {"base_url": "http://127.0.0.1:10/"})


def test_the_bandwidth_ceiling_is_shared_among_the_institutions_connections(hospital):
    row = set_endpoint(hospital, base_url=URL, bandwidth_bytes_per_s=1000, concurrency=4)

    assert origin_config(row).bandwidth_bytes_per_s == 250


def test_three_failures_open_the_circuit_and_a_success_closes_it(hospital, endpoint):
    for _ in range(2):
        assert (
            services.record_origin_failure(institution_id=hospital.pk, error=OriginTimeout())
            is None
        )
    until = services.record_origin_failure(institution_id=hospital.pk, error=OriginTimeout())

    policy = selectors.pull_policy(institution_id=hospital.pk)
    assert until is not None
    assert policy.circuit_open(timezone.now())
    services.record_origin_success(institution_id=hospital.pk)
    policy = selectors.pull_policy(institution_id=hospital.pk)
    assert (policy.failures, policy.open_until) == (0, None)


def test_failures_of_requests_under_way_do_not_lengthen_an_open_circuit(hospital, endpoint):
    first = services.record_origin_failure(institution_id=hospital.pk, error=OriginRefused())

    second = services.record_origin_failure(institution_id=hospital.pk, error=OriginTimeout("late"))

    endpoint.refresh_from_db()
    assert first == second == endpoint.open_until
    assert endpoint.failures == 1
    assert endpoint.last_error_text == "late"


def test_a_missing_study_is_noted_and_counts_nothing(hospital, endpoint):
    for _ in range(5):
        services.record_origin_failure(institution_id=hospital.pk, error=OriginNotFound())

    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.last_error_code) == (0, "origin-not-found")


def test_other_hospitals_are_unaffected_by_an_open_circuit(hospital, endpoint, other_hospital):
    set_endpoint(other_hospital, base_url=URL)
    services.record_origin_failure(institution_id=hospital.pk, error=OriginRefused())

    assert Endpoint.objects.get(institution=other_hospital).open_until is None


def test_a_new_address_starts_with_a_closed_circuit(hospital, endpoint):
    services.record_origin_failure(institution_id=hospital.pk, error=OriginRefused())

    assert set_endpoint(hospital, base_url=URL + "/2").open_until is None


def test_an_institution_is_restored_from_its_facts_and_an_existing_one_stays(hospital):
    services.update_institution(actor=ACTOR, code="H1", level="tertiary")
    facts = selectors.institution_facts(hospital.pk)
    Institution.objects.all().delete()

    restored = services.restore_institution(facts)

    assert selectors.institution_facts(restored.pk) == facts
    renamed = InstitutionFacts.from_json(facts.to_json() | {"name": "other"})
    assert services.restore_institution(renamed).name == hospital.name


def test_only_the_commission_may_add_an_institution(region, make_user, hospital, commission):
    admin = make_user("admin", "institution_admin", hospital)

    with pytest.raises(NotPermitted):
        services.add_institution(actor=admin, code="H3", name="x", region=region)
    assert services.add_institution(actor=commission, code="H3", name="x", region=region).pk


def test_an_integrator_keeps_its_own_endpoint_and_no_other(make_user, hospital, other_hospital):
    integrator = make_user("pacs", "integrator", hospital)

    assert set_endpoint(hospital, actor=integrator, base_url=URL).pk
    with pytest.raises(NotPermitted):
        set_endpoint(other_hospital, actor=integrator, base_url=URL)


def test_an_institution_may_not_name_a_folder_of_this_machine(make_user, hospital, folder):
    integrator = make_user("pacs", "integrator", hospital)

    with pytest.raises(NotPermitted):
        set_endpoint(hospital, actor=integrator, folder=str(folder))


def test_a_role_holds_from_its_first_day_and_is_taken_back_at_once(make_user, hospital):
    user = make_user("doctor")
    membership = services.grant_membership(
        actor=ACTOR, user=user, role="radiologist", institution=hospital
    )
    assert [role.role for role in selectors.memberships_of(user)] == ["radiologist"]

    services.end_membership(actor=ACTOR, membership=membership)

    assert selectors.memberships_of(user) == ()
    assert (
        services.grant_membership(
            actor=ACTOR, user=user, role="radiologist", institution=hospital
        ).valid_until
        is None
    )


def test_roles_are_those_of_the_day_asked_for(make_user, hospital):
    user = make_user("doctor")
    services.grant_membership(
        actor=ACTOR,
        user=user,
        role="clinician",
        institution=hospital,
        valid_from=dt.date(2025, 1, 1),
        valid_until=dt.date(2025, 2, 1),
    )

    assert selectors.memberships_of(user, on=dt.date(2025, 1, 31))
    assert not selectors.memberships_of(user, on=dt.date(2025, 2, 1))


def test_overlapping_memberships_of_one_role_are_refused(make_user, hospital):
    facts = {"actor": ACTOR, "user": make_user("u"), "role": "clinician", "institution": hospital}
    services.grant_membership(
        valid_from=dt.date(2025, 1, 1), valid_until=dt.date(2025, 3, 1), **facts
    )

    with pytest.raises(errors.MembershipConflict):
        services.grant_membership(valid_from=dt.date(2025, 2, 1), **facts)


def test_a_closed_account_has_no_roles(make_user):
    user = make_user("gone", "operator")
    user.is_active = False

    assert selectors.memberships_of(user) == ()


def test_an_institutions_administrator_gives_roles_of_its_own_institution_only(
    make_user, hospital, other_hospital
):
    admin, user = make_user("admin", "institution_admin", hospital), make_user("u")

    services.grant_membership(actor=admin, user=user, role="clinician", institution=hospital)

    with pytest.raises(NotPermitted):
        services.grant_membership(
            actor=admin, user=user, role="clinician", institution=other_hospital
        )
    with pytest.raises(NotPermitted):
        services.grant_membership(actor=admin, user=user, role="commission")


def test_an_outsider_sees_no_institution_and_a_member_its_own(make_user, hospital, other_hospital):
    member = make_user("m", "clinician", hospital)

    assert selectors.institution_ids_visible_to(make_user("x")) == frozenset()
    assert selectors.institution_ids_visible_to(member) == {hospital.pk}
    with pytest.raises(errors.InstitutionUnknown):
        selectors.get_visible_institution(actor=member, code="H2")


def test_the_overview_takes_three_queries_whatever_the_number(
    region, commission, django_assert_max_num_queries
):
    for number in range(5):
        row = services.add_institution(actor=ACTOR, code=f"N{number}", name="x", region=region)
        set_endpoint(row, base_url=URL)

    with django_assert_max_num_queries(3):
        rows = selectors.health_overview(actor=commission)

    assert [row.code for row in rows] == [f"N{number}" for number in range(5)]


def test_the_list_of_pullable_hospitals_takes_two_queries(region, django_assert_num_queries):
    for number in range(3):
        row = services.add_institution(actor=ACTOR, code=f"N{number}", name="x", region=region)
        set_endpoint(row, base_url=URL)
        services.activate(actor=ACTOR, code=row.code)

    with django_assert_num_queries(2):
        assert len(selectors.list_pullable()) == 3
