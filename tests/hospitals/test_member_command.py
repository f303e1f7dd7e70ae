"""``manage.py member``."""

from __future__ import annotations

import datetime as dt
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from common.accounts.models import User
from common.audit.models import AuditEntry
from hospitals import permissions, selectors
from hospitals.models import Membership


def member_command(*arguments: str) -> str:
    out = io.StringIO()
    with translation.override("en"):
        call_command("member", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def password_in(text: str) -> str:
    return text.split("One-time password: ")[1].splitlines()[0]


def roles(user: User) -> set[tuple[str, str]]:
    return {(held.role, held.institution_code) for held in selectors.memberships_of(user)}


def test_an_account_that_is_there_gets_a_role_from_today_on(make_user, hospital):
    zhang = make_user("zhang")

    text = member_command("add", "zhang", "radiologist", "--institution", "H1")

    assert roles(zhang) == {("radiologist", "H1")}
    assert f"zhang is radiologist of H1 from {permissions.today()}" in text
    assert "password" not in text


def test_giving_the_same_role_again_changes_nothing(make_user, hospital):
    make_user("zhang")
    for _time in range(2):
        member_command("add", "zhang", "clinician", "--institution", "H1")

    assert Membership.objects.count() == 1


def test_a_role_may_begin_later_and_end(make_user, db):
    make_user("li")

    member_command("add", "li", "auditor", "--from", "2030-01-01", "--until", "2030-07-01")

    row = Membership.objects.get()
    assert (row.valid_from, row.valid_until) == (dt.date(2030, 1, 1), dt.date(2030, 7, 1))
    assert row.institution is None


def test_a_new_person_gets_a_one_time_password_that_must_be_changed(hospital):
    text = member_command(
        *("add", "wang", "radiologist", "--institution", "H1", "--create", "--name", "王医师")
    )

    wang = User.objects.get(username="wang")
    assert wang.check_password(password_in(text))
    assert (wang.must_change_password, wang.is_system, str(wang)) == (True, False, "王医师")
    assert roles(wang) == {("radiologist", "H1")}
    entry = AuditEntry.objects.get(action="account.create")
    assert entry.object_id == str(wang.pk)
    assert password_in(text) not in str(entry.__dict__)


def test_a_new_system_gets_no_password(hospital):
    text = member_command(
        *("add", "pacs", "integrator", "--institution", "H1"),
        *("--create", "--name", "PACS", "--system"),
    )

    pacs = User.objects.get(username="pacs")
    assert (pacs.is_system, pacs.must_change_password) == (True, False)
    assert not pacs.has_usable_password()
    assert "password" not in text
    assert "manage.py create_token pacs" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("nobody", "operator"), "no account named nobody.*--create", id="unknown"),
        pytest.param(
            ("zhang", "operator", "--create", "--name", "x"), "already an account", id="taken"
        ),
        pytest.param(("new", "operator", "--create"), "--name", id="create-without-name"),
        pytest.param(("zhang", "operator", "--name", "x"), "--create", id="name-without-create"),
        pytest.param(("zhang", "operator", "--system"), "--create", id="system-without-create"),
        pytest.param(("zhang", "chief"), "invalid choice", id="unknown-role"),
        pytest.param(("zhang", "radiologist"), "every other role has one", id="no-institution"),
        pytest.param(
            ("zhang", "operator", "--institution", "H1"), "have no institution", id="no-place"
        ),
        pytest.param(
            ("zhang", "clinician", "--institution", "H404"), "H404", id="unknown-institution"
        ),
        pytest.param(("zhang", "operator", "--from", "tomorrow"), "not a day", id="no-day"),
        pytest.param(
            ("zhang", "operator", "--from", "2030-01-02", "--until", "2030-01-01"),
            "ends after it starts",
            id="ends-before-it-starts",
        ),
        pytest.param(
            ("a b", "operator", "--create", "--name", "x"), "valid username", id="bad-username"
        ),
        pytest.param(
            ("new", "radiologist", "--create", "--name", "x"), "every other", id="account-undone"
        ),
        pytest.param(("closed", "operator"), "is closed", id="closed-account"),
    ],
)
def test_a_mistake_is_a_sentence_and_leaves_nothing_behind(make_user, hospital, arguments, said):
    make_user("zhang")
    closed = make_user("closed")
    User.objects.filter(pk=closed.pk).update(is_active=False)

    with pytest.raises(CommandError, match=said):
        member_command("add", *arguments)

    assert not Membership.objects.exists()
    assert set(User.objects.values_list("username", flat=True)) == {"zhang", "closed"}


def test_another_membership_of_these_days_is_a_conflict(make_user, hospital):
    make_user("zhang", "radiologist", hospital)

    with pytest.raises(CommandError, match="already has this role"):
        member_command(
            "add", "zhang", "radiologist", "--institution", "H1", "--until", "2099-01-01"
        )


def test_the_list_is_a_table_for_people_and_json_for_programs(make_user, hospital, other_hospital):
    make_user("zhang", "radiologist", hospital)
    make_user("li", "clinician", other_hospital)
    make_user("wei", "commission")

    table = member_command("list")
    own = json.loads(member_command("list", "--institution", "H1", "--json"))

    assert all(name in table for name in ("zhang", "li", "wei", "(province)"))
    assert [(row["username"], row["role"], row["institution"]) for row in own] == [
        ("zhang", "radiologist", "H1")
    ]
    assert (own[0]["valid_from"], own[0]["valid_until"]) == ("2020-01-01", None)


def test_the_list_has_roles_that_begin_later_and_none_that_ended(make_user, hospital):
    make_user("zhang")
    member_command("add", "zhang", "operator", "--from", "2099-01-01")
    member_command("add", "zhang", "auditor", "--from", "2020-01-01", "--until", "2020-02-01")

    assert [row["role"] for row in json.loads(member_command("list", "--json"))] == ["operator"]


def test_an_empty_list_says_how_to_begin(db):
    assert "manage.py member add" in member_command("list")


def test_a_role_taken_back_ends_at_once(make_user, hospital):
    zhang = make_user("zhang", "radiologist", hospital)

    text = member_command("end", "zhang", "radiologist", "--institution", "H1")

    assert roles(zhang) == set()
    assert f"until {permissions.today()}" in text


def test_a_role_may_end_on_a_later_day(make_user, db):
    wei = make_user("wei", "commission")

    member_command("end", "wei", "commission", "--on", "2099-01-01")

    assert roles(wei) == {("commission", "")}
    assert Membership.objects.get().valid_until == dt.date(2099, 1, 1)


def test_what_would_begin_later_is_taken_back_too(make_user, db):
    make_user("wei")
    member_command("add", "wei", "operator", "--from", "2020-01-01", "--until", "2098-01-01")
    member_command("add", "wei", "operator", "--from", "2099-01-01")

    member_command("end", "wei", "operator")

    assert json.loads(member_command("list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("zhang", "radiologist", "--institution", "H2"), "is not radiologist of H2"),
        (("zhang", "operator"), "is not operator of the whole province"),
        (("nobody", "operator"), "no account named nobody"),
    ],
)
def test_a_role_that_nobody_has_cannot_end(make_user, hospital, other_hospital, arguments, said):
    zhang = make_user("zhang", "radiologist", hospital)

    with pytest.raises(CommandError, match=said):
        member_command("end", *arguments)

    assert roles(zhang) == {("radiologist", "H1")}
