"""``manage.py oversight grant|revoke|list``."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from common.accounts.models import User
from common.accounts.people import get_person
from common.errors import DomainError
from hospitals import selectors
from hospitals.models import Institution
from hospitals.permissions import overseen_ids
from hospitals.services import grants

ACTOR = "manage.py oversight"
_KINDS: dict[str, Any] = {
    "institution": selectors.get_institution,
    "consortium": selectors.get_consortium,
    "region": selectors.get_region,
}


class Command(BaseCommand):
    """Who may read the records, states and counts of single institutions, consortia and regions."""

    help = "Let an account oversee an institution, a consortium or a region, or take that back."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb, text in (("grant", "let an account oversee"), ("revoke", "take it back")):
            one = verbs.add_parser(verb, help=text)
            one.add_argument("username")
            one.add_argument("kind", choices=sorted(_KINDS))
            one.add_argument("code")
        listing = verbs.add_parser("list", help="the institutions that an account oversees")
        listing.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            user = get_person(username=options["username"])
            if options["verb"] == "list":
                self._list(user)
                return
            of = _KINDS[options["kind"]](code=options["code"])
            act = grants.grant_oversight if options["verb"] == "grant" else grants.revoke_oversight
            changed = act(actor=ACTOR, user=user, of=of)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(_("Done.") if changed else _("Nothing to do."))

    def _list(self, user: User) -> None:
        for each in Institution.objects.filter(pk__in=overseen_ids(user)).order_by("code"):
            self.stdout.write(f"{each.code}  {each.name}")
