"""People in their roles: seen, prolonged, ended and helped by those who keep them, and by nobody else."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from common.accounts import factors, throttle
from common.accounts.models import PersonSession, User
from common.audit.models import AuditEntry
from common.errors import NotPermitted
from hospitals import selectors, services
from hospitals.errors import (
    FieldInvalid,
    LastAdministrator,
    MembershipConflict,
    MembershipUnknown,
)
from hospitals.models import Institution, Membership
from hospitals.permissions import today
from hospitals.selectors import PeopleSearch
from hospitals.services import grants
from tests.support.pages import inline_parts

DAY = dt.timedelta(days=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper(make_user: Any, hospital: Institution) -> User:
    user: User = make_user("keeper", "institution_admin", hospital)
    return user


@pytest.fixture
def at_work(keeper: User) -> Client:
    client = Client(headers={"Accept": "text/html", "Accept-Language": "en"})
    client.force_login(keeper)
    return client


def membership_of(user: User) -> Membership:
    return Membership.objects.get(user=user)


def found(actor: Any, **search: str) -> list[str]:
    page = selectors.list_people(actor=actor, search=PeopleSearch(**search))
    return [row.user.username for row in page]


def test_an_administrator_sees_the_own_people_and_the_commission_everybody(
    keeper: User,
    commission: User,
    make_user: Any,
    hospital: Institution,
    other_hospital: Institution,
) -> None:
    make_user("near", "radiologist", hospital)
    make_user("far", "radiologist", other_hospital)

    assert found(keeper) == ["keeper", "near"]
    assert found(commission) == ["commission", "far", "keeper", "near"]
    assert found(commission, role="leading") == ["commission", "keeper"]
    assert found(commission, institution="H2") == ["far"]


@pytest.mark.parametrize("role", [None, "radiologist", "clinician", "auditor", "operator"])
def test_others_see_nobody(make_user: Any, hospital: Institution, role: str | None) -> None:
    place = hospital if role in {"radiologist", "clinician"} else None
    client = Client(headers={"Accept": "text/html"})
    client.force_login(make_user("somebody", role, place))

    for name in ("people", "invite", "systems"):
        assert client.get(reverse(f"hospitals:{name}")).status_code == 403


def test_systems_are_not_people(keeper: User, make_user: Any, hospital: Institution) -> None:
    make_user("pacs", "integrator", hospital)
    User.objects.filter(username="pacs").update(is_system=True)

    assert found(keeper) == ["keeper"]


@pytest.mark.parametrize(
    ("begins", "ends", "state"),
    [
        (-10, None, "in-force"),
        (0, 1, "in-force"),
        (1, None, "coming"),
        (5, 9, "coming"),
        (-10, 0, "ended"),
        (-10, -5, "ended"),
        (5, 5, "ended"),
    ],
)
def test_each_membership_is_found_in_its_one_state(
    keeper: User, make_user: Any, hospital: Institution, begins: int, ends: int | None, state: str
) -> None:
    Membership.objects.create(
        user=make_user("li"),
        role="clinician",
        institution=hospital,
        valid_from=today() + begins * DAY,
        valid_until=None if ends is None else today() + ends * DAY,
    )

    seen = {each: found(keeper, text="li", state=each) for each in ("in-force", "coming", "ended")}

    assert [each for each, names in seen.items() if names] == [state]
    page = selectors.list_people(actor=keeper, search=PeopleSearch(text="li", state="all"))
    assert [row.state for row in page] == [state]


def test_a_page_of_fifty_costs_as_many_queries_as_one_of_two(
    keeper: User, make_user: Any, hospital: Institution
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            list(selectors.list_people(actor=keeper, search=PeopleSearch()))
        return len(captured)

    make_user("first", "clinician", hospital)
    few = queries()
    for number in range(60):
        make_user(f"person{number}", "clinician", hospital)

    assert queries() == few <= 7
    assert len(selectors.list_people(actor=keeper, search=PeopleSearch(), page=2)) == 12


def test_the_list_is_paged_and_keeps_its_search(
    at_work: Client, make_user: Any, hospital: Institution
) -> None:
    for number in range(60):
        make_user(f"person{number:02}", "clinician", hospital)

    page = at_work.get("/people/?q=person&role=clinician").content.decode()

    assert "person49" in page
    assert "person50" not in page
    assert "page=2&amp;q=person&amp;role=clinician" in page
    assert inline_parts(page) == []


@pytest.mark.parametrize(
    "query",
    [
        "q=%25",
        "q='",
        "role=xx",
        "state=xx",
        "institution=%00x",
        "page=-1",
        "page=x",
        "q=" + "a+" * 900,
    ],
)
def test_an_odd_search_finds_what_it_finds(at_work: Client, query: str) -> None:
    assert at_work.get(f"/people/?{query}").status_code in {200, 400}


def test_a_membership_ends_after_it_was_confirmed(
    at_work: Client, make_user: Any, hospital: Institution
) -> None:
    row = membership_of(make_user("li", "radiologist", hospital))
    address = reverse("hospitals:person-end", args=[row.pk])
    assert "End this membership?" in at_work.get(address).content.decode()
    row.refresh_from_db()
    assert row.valid_until is None

    at_work.post(address, {"on": today().isoformat()})

    row.refresh_from_db()
    assert row.valid_until == today()
    assert AuditEntry.objects.filter(action="membership.end").count() == 1


def test_the_last_administrator_is_not_ended_by_mistake(
    at_work: Client, keeper: User, make_user: Any, hospital: Institution
) -> None:
    row = membership_of(keeper)
    address = reverse("hospitals:person-end", args=[row.pk])
    assert at_work.post(address, {"on": today().isoformat()}).status_code == 409
    with pytest.raises(LastAdministrator):
        services.end_membership(actor=keeper, membership=row)

    assert at_work.post(address, {"on": today().isoformat(), "last": "yes"}).status_code == 302


def test_one_of_two_administrators_is_ended_without_more_ado(
    keeper: User, make_user: Any, hospital: Institution
) -> None:
    second = membership_of(make_user("second", "institution_admin", hospital))

    services.end_membership(actor=keeper, membership=second)

    second.refresh_from_db()
    assert second.valid_until == today()


def test_an_administrator_whose_own_time_ends_before_does_not_count(
    keeper: User, make_user: Any, hospital: Institution
) -> None:
    second = make_user("second", "institution_admin", hospital)
    Membership.objects.filter(user=second).update(valid_until=today() + 5 * DAY)

    with pytest.raises(LastAdministrator):
        services.end_membership(
            actor=keeper, membership=membership_of(keeper), on=today() + 6 * DAY
        )


def test_the_last_commission_administrator_is_not_ended_by_mistake_either(commission: User) -> None:
    with pytest.raises(LastAdministrator):
        services.end_membership(actor=commission, membership=membership_of(commission))


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_end_each_other_at_once_do_not_both_succeed(
    make_user: Any, hospital: Institution
) -> None:
    one = make_user("one", "institution_admin", hospital)
    two = make_user("two", "institution_admin", hospital)
    gate = threading.Barrier(2)
    answers: list[str] = []

    def end(actor: User, other: User) -> None:
        gate.wait()
        try:
            services.end_membership(actor=actor, membership=membership_of(other))
            answers.append("ended")
        except (LastAdministrator, NotPermitted):
            answers.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=end, args=pair) for pair in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["ended", "refused"]


def test_a_membership_is_prolonged_to_a_later_day_or_for_good(
    keeper: User, make_user: Any, hospital: Institution
) -> None:
    row = membership_of(make_user("li", "clinician", hospital))
    Membership.objects.filter(pk=row.pk).update(valid_until=today() + DAY)

    services.prolong_membership(actor=keeper, membership=row, until=today() + 9 * DAY)
    row.refresh_from_db()
    assert row.valid_until == today() + 9 * DAY
    with pytest.raises(FieldInvalid):
        services.prolong_membership(actor=keeper, membership=row, until=today() + 8 * DAY)
    services.prolong_membership(actor=keeper, membership=row, until=None)
    row.refresh_from_db()
    assert row.valid_until is None


def test_what_has_ended_or_would_overlap_is_not_prolonged(
    keeper: User, make_user: Any, hospital: Institution
) -> None:
    user = make_user("li", "clinician", hospital)
    row = membership_of(user)
    Membership.objects.filter(pk=row.pk).update(valid_until=today())
    with pytest.raises(MembershipConflict):
        services.prolong_membership(actor=keeper, membership=row, until=today() + 9 * DAY)
    Membership.objects.filter(pk=row.pk).update(valid_until=today() + DAY)
    Membership.objects.create(
        user=user, role="clinician", institution=hospital, valid_from=today() + 5 * DAY
    )

    with pytest.raises(MembershipConflict):
        services.prolong_membership(actor=keeper, membership=row, until=today() + 9 * DAY)


def test_people_of_another_place_are_not_there(
    at_work: Client, make_user: Any, other_hospital: Institution
) -> None:
    row = membership_of(make_user("far", "radiologist", other_hospital))

    answers = [
        at_work.get(reverse("hospitals:person", args=[row.pk])),
        at_work.post(reverse("hospitals:person-end", args=[row.pk]), {"on": today().isoformat()}),
        at_work.post(reverse("hospitals:person-prolong", args=[row.pk]), {"open": "yes"}),
        at_work.post(reverse("hospitals:person-unlock", args=[row.pk])),
        at_work.post(reverse("hospitals:person-reset", args=[row.pk])),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    with pytest.raises(MembershipUnknown):
        selectors.get_kept_person(
            actor=make_user("k2", "institution_admin", make_hospital()), membership_id=row.pk
        )


def make_hospital() -> Institution:
    first = Institution.objects.order_by("pk")[0]
    return Institution.objects.create(code="H3", name="三院", region=first.region)


def with_factor(user: User) -> None:
    from tests.common.accounts.test_second_factor import set_up

    set_up(user)


def test_a_lost_second_factor_is_reset_and_the_sessions_end(
    at_work: Client, make_user: Any, hospital: Institution
) -> None:
    user = make_user("li", "radiologist", hospital)
    with_factor(user)
    theirs = Client()
    theirs.force_login(user)
    address = reverse("hospitals:person-reset", args=[membership_of(user).pk])
    assert at_work.get(address).status_code == 200
    assert factors.has_factor(user)

    at_work.post(address)

    assert not factors.has_factor(user)
    assert not PersonSession.objects.filter(user=user).exists()
    assert theirs.get("/accounts/").status_code == 302
    assert AuditEntry.objects.get(action="second-factor.reset").actor_name == "keeper"


@pytest.mark.parametrize(
    "elsewhere", ["commission", "other-hospital", "oversight", "superuser", "self"]
)
def test_an_account_that_opens_other_doors_too_is_not_the_administrators_to_reset(
    keeper: User, make_user: Any, hospital: Institution, other_hospital: Institution, elsewhere: str
) -> None:
    user = keeper if elsewhere == "self" else make_user("li", "radiologist", hospital)
    if elsewhere == "commission":
        Membership.objects.create(user=user, role="commission", valid_from=today() + DAY)
    elif elsewhere == "other-hospital":
        Membership.objects.create(
            user=user, role="clinician", institution=other_hospital, valid_from=today()
        )
    elif elsewhere == "oversight":
        grants.grant_oversight(actor="test", user=user, of=other_hospital)
    elif elsewhere == "superuser":
        User.objects.filter(pk=user.pk).update(is_superuser=True)
        user.refresh_from_db()
    with_factor(user)

    for act in (services.reset_second_factor, services.release_lock, services.reset_password):
        with pytest.raises(NotPermitted):
            act(actor=keeper, user=user)
    assert factors.has_factor(user)


def test_a_lock_is_seen_and_released(
    at_work: Client, make_user: Any, hospital: Institution
) -> None:
    user = make_user("li", "radiologist", hospital)
    for what in (throttle.PASSWORD, throttle.CODE):
        for _ in range(throttle.FAILURES):
            throttle.count_failure(username="li", address="", what=what)
    page = at_work.get(reverse("hospitals:people")).content.decode()
    assert page.count("locked") == 1

    at_work.post(reverse("hospitals:person-unlock", args=[membership_of(user).pk]))

    assert throttle.locks_of(["li"]) == {}
    assert AuditEntry.objects.get(action="account.unlock").actor_name == "keeper"


def test_a_forgotten_password_is_replaced_by_one_for_one_time(
    at_work: Client, make_user: Any, hospital: Institution
) -> None:
    user = make_user("li", "radiologist", hospital)
    user.set_password("a-long-pass-phrase")
    user.save()
    theirs = Client()
    theirs.force_login(user)
    address = reverse("hospitals:person-password", args=[membership_of(user).pk])
    assert "value=" not in at_work.get(address).content.decode().split("<main")[1].split("csrf")[0]

    page = at_work.post(address).content.decode()

    once = page.split('readonly value="')[1].split('"')[0]
    assert theirs.get("/accounts/").status_code == 302
    answer = Client().post("/accounts/login/", {"username": "li", "password": once}, follow=True)
    assert answer.redirect_chain[-1][0] == "/accounts/password/"
    assert AuditEntry.objects.get(action="password.reset").actor_name == "keeper"
    assert once not in str(list(AuditEntry.objects.values()))


def test_who_has_no_password_is_given_none(
    at_work: Client, make_user: Any, hospital: Institution
) -> None:
    user = make_user("li", "radiologist", hospital)

    answer = at_work.post(reverse("hospitals:person-password", args=[membership_of(user).pk]))

    assert answer.status_code == 302
    user.refresh_from_db()
    assert not user.has_usable_password()
