"""``manage.py member add|list|end``."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.accounts import people
from common.accounts.models import User
from common.errors import DomainError
from hospitals import selectors, services
from hospitals.management.hospital_show import as_json
from hospitals.models import Institution, Membership

ACTOR = "manage.py member"


class Command(BaseCommand):
    """Accounts and their roles from the command line."""

    help = "Give people and systems their roles, list who has which, take roles back."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        adding = verbs.add_parser("add", help="give an account a role")
        _add_role(adding)
        adding.add_argument("--from", dest="since", type=_day, help="first day (today)")
        adding.add_argument("--until", type=_day, help="first day without it (never)")
        adding.add_argument("--create", action="store_true", help="make the account too")
        adding.add_argument("--name", default="", help="of the person or system; with --create")
        adding.add_argument(
            "--system", action="store_true", help="it has tokens and no password; with --create"
        )
        listing = verbs.add_parser("list", help="who has which role, now or from a later day on")
        listing.add_argument("--institution", metavar="CODE")
        listing.add_argument("--json", action="store_true", help="for programs")
        ending = verbs.add_parser("end", help="take a role back")
        _add_role(ending)
        ending.add_argument("--on", type=_day, help="first day without it (today, at once)")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except DomainError as error:
            raise CommandError(error.message) from error

    def _add(self, options: dict[str, Any]) -> None:
        institution = _institution(options)
        with transaction.atomic():  # no account without the role that it was made for
            user, password = _account(options)
            membership = services.grant_membership(
                actor=ACTOR,
                user=user,
                role=options["role"],
                institution=institution,
                valid_from=options["since"],
                valid_until=options["until"],
            )
        self.stdout.write(f"{_sentence(membership)}.")
        if password:
            self.stdout.write(f"One-time password: {password}")
            self.stdout.write("It is shown only now, and must be changed at the first log-in.")
        elif options["create"]:
            self.stdout.write(f"It needs a token: manage.py create_token {user.username}")

    def _list(self, options: dict[str, Any]) -> None:
        rows = selectors.list_lasting_memberships()
        institution = _institution(options)
        if institution is not None:
            rows = rows.filter(institution=institution)
        if options["json"]:
            self.stdout.write(as_json([_facts(row) for row in rows]))
        elif rows:
            self._print(_table([_facts(row) for row in rows]))
        else:
            self.stdout.write("Nobody has a role here yet: manage.py member add USERNAME ROLE")

    def _end(self, options: dict[str, Any]) -> None:
        user = people.get_person(username=options["username"])
        institution = _institution(options)
        lasting = selectors.list_lasting_memberships(on=options["on"]).filter(
            user=user, role=options["role"], institution=institution
        )
        place = institution.code if institution else "the whole province"
        if not lasting:
            raise CommandError(
                f"{user.username} is not {options['role']} of {place} on or after that day: "
                "manage.py member list shows who is."
            )
        with transaction.atomic():
            for membership in lasting:
                ended = services.end_membership(
                    actor=ACTOR, membership=membership, on=options["on"]
                )
                self.stdout.write(f"{_sentence(ended)}.")

    def _print(self, table: Table) -> None:
        stream: Any = self.stdout
        # As in ``hospital list``: a table in a log must not lose its cells.
        Console(file=stream, width=None if stream.isatty() else 160).print(table)


def _add_role(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("username")
    parser.add_argument("role", choices=Membership.Role.values, metavar="ROLE", help=_roles())
    parser.add_argument(
        "--institution", metavar="CODE", help="where; none for commission, auditor, operator"
    )


def _roles() -> str:
    return ", ".join(Membership.Role.values)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-03-31") from error


def _institution(options: dict[str, Any]) -> Institution | None:
    code = options["institution"]
    return None if code is None else selectors.get_institution(code=code)


def _account(options: dict[str, Any]) -> tuple[User, str]:
    """The account that is meant, made if so asked, and the password that it was given."""
    if options["create"]:
        if not options["name"].strip():
            raise CommandError("--create needs the --name of the person or system.")
        return people.create_person(
            actor=ACTOR,
            username=options["username"],
            name=options["name"],
            is_system=options["system"],
        )
    if options["name"] or options["system"]:
        raise CommandError("--name and --system describe a new account: say --create too.")
    try:
        user = people.get_person(username=options["username"])
    except people.AccountUnknown as error:
        raise CommandError(f"{error.message} --create --name NAME makes one.") from error
    if not user.is_active:
        raise CommandError(f"The account {user.username} is closed.")
    return user, ""


def _sentence(membership: Membership) -> str:
    place = membership.institution.code if membership.institution else "the whole province"
    days = f"from {membership.valid_from}"
    if membership.valid_until:
        days += f" until {membership.valid_until} (not included)"
    return f"{membership.user.username} is {membership.role} of {place} {days}"


def _facts(row: Membership) -> dict[str, Any]:
    return {
        "username": row.user.username,
        "name": row.user.get_full_name(),
        "is_system": row.user.is_system,
        "is_active": row.user.is_active,
        "role": row.role,
        "institution": row.institution.code if row.institution else None,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{len(rows)} roles")
    for heading in ("Account", "Name", "Role", "Institution", "From", "Until", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        kind = "system" if row["is_system"] else ""
        cells = [row["username"], row["name"], row["role"], row["institution"] or "(province)"]
        cells += [str(row["valid_from"]), str(row["valid_until"] or "-")]
        table.add_row(*map(escape, [*cells, kind if row["is_active"] else f"{kind} closed"]))
    return table
