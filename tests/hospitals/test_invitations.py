"""Invitations: a one-time link, a role of the inviting administrator's own places, an account of one's own."""

from __future__ import annotations

import datetime as dt
import re
import smtplib
import threading
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from common.accounts.models import User
from common.accounts.people import AccountInvalid, AccountTaken
from common.audit.models import AuditEntry
from common.errors import NotPermitted
from hospitals import services
from hospitals.errors import (
    FieldInvalid,
    InvitationEnded,
    InvitationUnknown,
    MembershipConflict,
    PasswordRefused,
)
from hospitals.models import Institution, Invitation, Membership
from hospitals.permissions import today
from hospitals.services import Guest

PASSWORD = "a-long-pass-phrase"
TOMORROW = dt.timedelta(days=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper(make_user: Any, hospital: Institution) -> User:
    """The administrator of the first hospital."""
    user: User = make_user("keeper", "institution_admin", hospital)
    return user


def guest(institution: Institution | None, role: str = "radiologist", **more: Any) -> Guest:
    return Guest(**{"name": "王医师", "role": role, "institution": institution} | more)


def invited(keeper: User, institution: Institution | None, **more: Any) -> str:
    return services.invite(actor=keeper, guest=guest(institution, **more))[1]


def test_somebody_new_makes_an_account_and_has_the_role(
    keeper: User, hospital: Institution
) -> None:
    until = today() + 30 * TOMORROW
    code = invited(keeper, hospital, valid_until=until, email="wang@example.org")

    user = services.accept_with_new_account(code=code, username="wang", password=PASSWORD)

    membership = Membership.objects.get(user=user)
    assert (membership.role, membership.institution, membership.valid_until) == (
        "radiologist", hospital, until,
    )  # fmt: skip
    assert user.check_password(PASSWORD)
    assert (user.first_name, user.email, user.must_change_password) == (
        "王医师",
        "wang@example.org",
        False,
    )
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert actions[-4:] == [
        "invitation.create",
        "account.create",
        "membership.grant",
        "invitation.accept",
    ]


def test_somebody_with_an_account_gets_the_role_there(
    keeper: User, hospital: Institution, make_user: Any
) -> None:
    user = make_user("li")

    services.accept_invitation(code=invited(keeper, hospital), user=user)

    assert Membership.objects.get(user=user).institution == hospital


def test_the_code_is_not_in_the_database(keeper: User, hospital: Institution) -> None:
    code = invited(keeper, hospital)

    assert code not in str(list(Invitation.objects.values()))
    assert code not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize("change", ["used", "revoked", "expired"])
def test_an_invitation_opens_once_and_not_for_ever(
    keeper: User, hospital: Institution, make_user: Any, change: str
) -> None:
    code = invited(keeper, hospital)
    if change == "used":
        services.accept_invitation(code=code, user=make_user("first"))
    elif change == "revoked":
        services.revoke_invitation(actor=keeper, invitation=Invitation.objects.get())
    else:
        Invitation.objects.update(expires_at=timezone.now())

    with pytest.raises(InvitationEnded):
        services.accept_with_new_account(code=code, username="second", password=PASSWORD)

    assert not User.objects.filter(username="second").exists()


@pytest.mark.parametrize("code", ["", "x", "x" * 10_000, "%00", "王"])
def test_what_is_no_code_opens_nothing(keeper: User, code: str) -> None:
    with pytest.raises(InvitationUnknown):
        services.accept_with_new_account(code=code, username="wang", password=PASSWORD)


@pytest.mark.parametrize(
    "role", ["commission", "auditor", "operator"], ids=lambda role: f"province-wide-{role}"
)
def test_an_institutions_administrator_invites_nobody_for_the_province(
    keeper: User, role: str
) -> None:
    with pytest.raises(NotPermitted):
        services.invite(actor=keeper, guest=guest(None, role))


def test_nor_for_another_institution(keeper: User, other_hospital: Institution) -> None:
    with pytest.raises(NotPermitted):
        services.invite(actor=keeper, guest=guest(other_hospital))


@pytest.mark.parametrize(
    "role", [None, "radiologist", "clinician", "integrator", "auditor", "operator"]
)
def test_others_invite_nobody(make_user: Any, hospital: Institution, role: str | None) -> None:
    place = hospital if role in {"radiologist", "clinician", "integrator"} else None
    actor = make_user("somebody", role, place)

    with pytest.raises(NotPermitted):
        services.invite(actor=actor, guest=guest(hospital, "clinician"))


@pytest.mark.parametrize("role", ["commission", "auditor", "operator"])
def test_the_commission_invites_for_the_province(commission: User, role: str) -> None:
    code = invited(commission, None, role=role)

    user = services.accept_with_new_account(code=code, username="new", password=PASSWORD)

    assert Membership.objects.get(user=user).role == role


def test_who_lost_the_right_to_give_gives_nothing_any_more(
    keeper: User, hospital: Institution, make_user: Any
) -> None:
    code = invited(keeper, hospital, role="institution_admin")
    Membership.objects.filter(user=keeper).update(valid_until=today())

    with pytest.raises(InvitationEnded):
        services.accept_invitation(code=code, user=make_user("li"))


def test_an_account_that_was_closed_gives_nothing_even_where_it_administered_all(
    hospital: Institution, make_user: Any
) -> None:
    root = make_user("root")
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    root.refresh_from_db()
    code = invited(root, hospital, role="institution_admin")
    User.objects.filter(pk=root.pk).update(is_active=False)

    with pytest.raises(InvitationEnded):
        services.accept_invitation(code=code, user=make_user("li"))


@pytest.mark.parametrize(
    "more",
    [
        {"name": "  "},
        {"name": "x" * 151},
        {"name": "a\x00b"},
        {"role": "integrator"},
        {"role": "patient-of-mine"},
        {"institution": None},
        {"email": "nobody"},
        {"email": "a@example.org\nBcc: b@example.org"},
        {"valid_from": dt.date(2020, 1, 1)},
        {"valid_until": dt.date(2020, 1, 1)},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(
    keeper: User, hospital: Institution, more: dict[str, Any]
) -> None:
    with pytest.raises(FieldInvalid):
        services.invite(
            actor=keeper,
            guest=Guest(**{"name": "王", "role": "clinician", "institution": hospital} | more),
        )


@pytest.mark.parametrize("password", ["", "short", "password1234"])
def test_a_weak_password_makes_no_account(
    keeper: User, hospital: Institution, password: str
) -> None:
    code = invited(keeper, hospital)

    with pytest.raises(PasswordRefused):
        services.accept_with_new_account(code=code, username="wang", password=password)

    assert not User.objects.filter(username="wang").exists()
    assert Invitation.objects.get().accepted_at is None


@pytest.mark.parametrize("name", ["", "a b", "<b>", "x" * 151, "demo-commission", "Demo-x"])
def test_a_user_name_has_its_form_and_never_that_of_the_demo(
    keeper: User, hospital: Institution, name: str
) -> None:
    with pytest.raises(AccountInvalid):
        services.accept_with_new_account(
            code=invited(keeper, hospital), username=name, password=PASSWORD
        )


def test_a_user_name_that_is_taken_is_not_taken_over(keeper: User, hospital: Institution) -> None:
    with pytest.raises(AccountTaken):
        services.accept_with_new_account(
            code=invited(keeper, hospital), username="keeper", password=PASSWORD
        )


def test_a_system_accepts_nothing(keeper: User, hospital: Institution, make_user: Any) -> None:
    system = make_user("pacs")
    User.objects.filter(pk=system.pk).update(is_system=True)

    with pytest.raises(FieldInvalid):
        services.accept_invitation(
            code=invited(keeper, hospital), user=User.objects.get(username="pacs")
        )


def test_a_role_that_one_has_at_other_days_is_a_conflict(
    keeper: User, hospital: Institution, make_user: Any
) -> None:
    user = make_user("li", "radiologist", hospital)

    with pytest.raises(MembershipConflict):
        services.accept_invitation(
            code=invited(keeper, hospital, valid_until=today() + TOMORROW), user=user
        )


def test_a_revoked_one_can_be_revoked_again_and_an_accepted_one_cannot(
    keeper: User, hospital: Institution, make_user: Any
) -> None:
    invited(keeper, hospital)
    row = Invitation.objects.get()
    services.revoke_invitation(actor=keeper, invitation=row)
    services.revoke_invitation(actor=keeper, invitation=row)
    code = invited(keeper, hospital)
    services.accept_invitation(code=code, user=make_user("li"))

    with pytest.raises(InvitationEnded):
        services.revoke_invitation(actor=keeper, invitation=Invitation.objects.latest("pk"))


@pytest.mark.parametrize(
    "broken",
    [
        {"accepted_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"role": "commission"},
        {"role": "integrator"},
    ],
    ids=["accepted-by-nobody", "province-wide-at-a-place", "a-system"],
)
def test_the_database_keeps_what_an_invitation_is(
    keeper: User, hospital: Institution, broken: dict[str, Any]
) -> None:
    invited(keeper, hospital)

    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.update(**broken)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_accept_at_once_one_is_refused_and_leaves_no_account(
    make_user: Any, hospital: Institution
) -> None:
    code = invited(make_user("keeper", "institution_admin", hospital), hospital)
    gate = threading.Barrier(4)
    answers: list[str] = []

    def accept(number: int) -> None:
        gate.wait()
        try:
            services.accept_with_new_account(
                code=code, username=f"guest{number}", password=PASSWORD
            )
            answers.append("in")
        except InvitationEnded:
            answers.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["in", "refused", "refused", "refused"]
    assert User.objects.filter(username__startswith="guest").count() == 1
    assert Membership.objects.filter(role="radiologist").count() == 1


# The pages


@pytest.fixture
def at_work(keeper: User) -> Client:
    client = Client(headers={"Accept": "text/html", "Accept-Language": "en"})
    client.force_login(keeper)
    return client


def invite_by_page(client: Client, **more: str) -> str:
    """The address that the page shows."""
    given = {"name": "王医师", "role": "radiologist"} | more
    page = client.post(reverse("hospitals:invite"), given).content.decode()
    shown = re.search(r"http://testserver(/people/join/[\w-]+)", page)
    assert shown, page
    return shown[1]


def test_the_link_is_shown_once_and_opens_the_way_in(at_work: Client) -> None:
    address = invite_by_page(at_work)
    assert address not in at_work.get(reverse("hospitals:people")).content.decode()
    stranger = Client(headers={"Accept": "text/html"})
    for _ in range(3):  # looking at it, or a mail scanner's visit, uses nothing up
        assert stranger.get(address).status_code == 200

    answer = stranger.post(
        address, {"username": "wang", "password": PASSWORD, "password_again": PASSWORD}
    )

    assert answer.status_code == 302
    assert stranger.get("/accounts/").status_code == 200
    assert Client().get(address).status_code == 409


def test_a_new_administrator_sets_up_a_second_factor_first(at_work: Client) -> None:
    address = invite_by_page(at_work, role="institution_admin")
    stranger = Client(headers={"Accept": "text/html"})
    stranger.post(address, {"username": "wang", "password": PASSWORD, "password_again": PASSWORD})

    assert stranger.get("/people/")["Location"] == "/accounts/second-factor/"


def test_two_passwords_that_differ_are_refused_and_the_name_is_kept(at_work: Client) -> None:
    address = invite_by_page(at_work)

    page = Client(headers={"Accept": "text/html"}).post(
        address, {"username": "wang", "password": PASSWORD, "password_again": "other"}
    )

    assert page.status_code == 400
    assert 'value="wang"' in page.content.decode()
    assert PASSWORD not in page.content.decode()


def test_the_link_is_mailed_where_an_address_is_given(at_work: Client) -> None:
    address = invite_by_page(at_work, email="wang@example.org")

    assert mail.outbox[0].to == ["wang@example.org"]
    assert address in mail.outbox[0].body


def test_mail_that_does_not_go_out_leaves_the_link_to_be_handed_over(
    at_work: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any, **_more: Any) -> None:
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr("hospitals.services.invitations.send_mail", refuse)

    assert invite_by_page(at_work, email="wang@example.org")


def test_somebody_logged_in_takes_the_role_with_that_account(
    at_work: Client, make_user: Any
) -> None:
    address = invite_by_page(at_work)
    user = make_user("li")
    client = Client(headers={"Accept": "text/html"})
    client.force_login(user)

    assert client.post(address).status_code == 302
    assert Membership.objects.get(user=user).role == "radiologist"


def test_a_token_accepts_nothing(at_work: Client, make_user: Any) -> None:
    from common.accounts.tokens import create_token

    address = invite_by_page(at_work)
    token = create_token(actor="test", user=make_user("li"))

    assert Client().post(address, headers={"Authorization": f"Bearer {token}"}).status_code == 403


@pytest.mark.parametrize(
    "given",
    [
        {"role": "commission"},
        {"role": "operator", "institution": ""},
        {"institution": "H2"},
        {"valid_until": "2020-01-01"},
        {"valid_from": "yesterday"},
        {"name": ""},
        {"email": "x"},
    ],
    ids=str,
)
def test_the_form_takes_nothing_that_may_not_be(
    at_work: Client, other_hospital: Institution, given: dict[str, str]
) -> None:
    answer = at_work.post(
        reverse("hospitals:invite"), {"name": "王", "role": "radiologist"} | given
    )

    assert answer.status_code == 200
    assert not Invitation.objects.exists()


def test_an_invitation_of_another_place_is_not_there(
    at_work: Client, commission: User, other_hospital: Institution
) -> None:
    invited(commission, other_hospital)
    row = Invitation.objects.get()

    page = at_work.get(reverse("hospitals:people")).content.decode()
    answer = at_work.post(reverse("hospitals:invitation-revoke", args=[row.pk]))

    assert "王医师" not in page
    assert answer.status_code == 404
    row.refresh_from_db()
    assert row.revoked_at is None
