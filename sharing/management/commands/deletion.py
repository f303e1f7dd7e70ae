"""``manage.py deletion``: studies that were deleted; taking a deletion back, deleting by hand."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DomainError
from hospitals import selectors as hospital_selectors
from sharing.models import Deletion
from sharing.services import deleting, rebuilding

ACTOR = "operator"


class Command(BaseCommand):
    help = "List deletions, undo one within its grace, delete a study, or purge what is due."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="deletions that nobody has undone")
        listing.add_argument("--institution", metavar="CODE")
        for name, text in (
            ("undo", "bring a study back from the bucket"),
            ("study", "delete a study, as its integrator could"),
        ):
            one = actions.add_parser(name, help=text)
            one.add_argument("institution", metavar="CODE")
            one.add_argument("study_uid", metavar="STUDY_UID")
            if name == "study":
                one.add_argument("--reason", required=True, choices=Deletion.Reason.values)
        actions.add_parser("purge", help="remove the bytes of deletions whose grace has ended")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(options)
        except DomainError as error:
            raise CommandError(error.message) from error

    def _list(self, options: dict[str, Any]) -> None:
        rows = Deletion.objects.filter(lifted_at=None).select_related("institution").order_by("pk")
        if options["institution"]:
            rows = rows.filter(institution__code=options["institution"])
        for row in rows.iterator():
            until = "purged" if row.purged_at else f"purged after {row.purge_after:%Y-%m-%d %H:%M}"
            self.stdout.write(
                f"{row.institution.code}  {row.study_instance_uid}  {row.reason}  "
                f"{row.deleted_at:%Y-%m-%d %H:%M}  {row.instance_count} instances  {until}"
            )

    def _undo(self, options: dict[str, Any]) -> None:
        rebuilding.bring_back(actor=ACTOR, **_uids(options))
        self.stdout.write("The study is back.")

    def _study(self, options: dict[str, Any]) -> None:
        deletion = deleting.delete_study(actor=ACTOR, reason=options["reason"], **_uids(options))
        self.stdout.write(f"Deleted; purged after {deletion.purge_after:%Y-%m-%d %H:%M}.")

    def _purge(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{deleting.purge_due()} studies purged.")


def _uids(options: dict[str, Any]) -> dict[str, Any]:
    institution = hospital_selectors.get_institution(code=options["institution"])
    return {"institution_id": institution.pk, "study_instance_uid": options["study_uid"]}
