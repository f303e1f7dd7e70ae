"""``manage.py legal_hold``: studies that may be neither deleted nor purged."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from hospitals import selectors as hospital_selectors
from sharing.models import LegalHold
from sharing.services import holding

ACTOR = "operator"


class Command(BaseCommand):
    help = "Set or release the legal hold of a study, or list those in force."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="holds in force")
        for name in ("set", "release"):
            one = actions.add_parser(name)
            one.add_argument("institution", metavar="CODE")
            one.add_argument("study_uid", metavar="STUDY_UID")
            if name == "set":
                one.add_argument(
                    "--reference", required=True, help="file number of the case; no patient's name"
                )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(options)
        except DomainError as error:
            raise CommandError(error.message) from error

    def _list(self, options: dict[str, Any]) -> None:
        rows = LegalHold.objects.filter(released_at=None).select_related("institution")
        for row in rows.order_by("pk").iterator():
            self.stdout.write(
                f"{row.institution.code}  {row.study_instance_uid}  {row.reference}  "
                f"{row.set_at:%Y-%m-%d %H:%M}  {row.set_by}"
            )

    def _set(self, options: dict[str, Any]) -> None:
        hold = holding.set_hold(actor=ACTOR, reference=options["reference"], **_uids(options))
        self.stdout.write(f"On hold since {hold.set_at:%Y-%m-%d %H:%M}.")

    def _release(self, options: dict[str, Any]) -> None:
        holding.release_hold(actor=ACTOR, **_uids(options))
        self.stdout.write("Released.")


def _uids(options: dict[str, Any]) -> dict[str, Any]:
    institution = hospital_selectors.get_institution(code=options["institution"])
    return {"institution_id": institution.pk, "study_instance_uid": options["study_uid"]}
