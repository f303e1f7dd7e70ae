"""``manage.py hl7``: which systems may send HL7 messages, and what became of what they sent."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.accounts.people import get_person
from common.errors import DomainError
from sharing.models import HospitalMessage, MessageSender
from sharing.services.hl7 import replaying, senders

ACTOR = "operator"


class Command(BaseCommand):
    help = "Register senders of HL7 messages, list messages, replay them."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="let a system of an institution send")
        add.add_argument("institution", metavar="CODE")
        add.add_argument("application", metavar="MSH-3")
        add.add_argument("--account", required=True, help="an integrator of the institution")
        add.add_argument(
            "--facility", default="", metavar="MSH-4", help="where several share a name"
        )
        add.add_argument("--network", action="append", default=[], metavar="CIDR")
        add.add_argument(
            "--certificate", default="", metavar="SHA256", help="of its client certificate"
        )
        add.add_argument("--character-set", default="", help="where MSH-18 is empty")
        add.add_argument("--issuer", default="", help="of patient numbers, as its studies have it")
        actions.add_parser("senders", help="which systems may send")
        end = actions.add_parser("end", help="take no more messages of a system")
        end.add_argument("sender", type=int, metavar="NUMBER")
        listing = actions.add_parser("messages", help="the newest messages")
        listing.add_argument("--state", choices=HospitalMessage.State.values)
        listing.add_argument("--institution", metavar="CODE")
        listing.add_argument("--limit", type=int, default=50)
        again = actions.add_parser("replay", help="act on messages again")
        again.add_argument("message", nargs="*", type=int, metavar="NUMBER")
        again.add_argument("--failed", action="store_true", help="all that failed")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(options)
        except DomainError as error:
            raise CommandError(error.message) from error

    def _add(self, options: dict[str, Any]) -> None:
        sender = senders.add_sender(
            actor=ACTOR,
            institution_code=options["institution"],
            account=get_person(username=options["account"]),
            application=options["application"],
            facility=options["facility"],
            networks=tuple(options["network"]),
            certificate=options["certificate"],
            character_set=options["character_set"],
            issuer=options["issuer"],
        )
        self.stdout.write(f"Sender {sender.pk} may send.")

    def _senders(self, options: dict[str, Any]) -> None:
        for row in MessageSender.objects.select_related("institution", "account"):
            known_by = ", ".join(row.networks) or f"certificate {row.certificate[:16]}…"
            self.stdout.write(
                f"{row.pk}  {row.institution.code}  {row}  {row.account.username}  {known_by}"
                + ("" if row.active else "  ended")
            )

    def _end(self, options: dict[str, Any]) -> None:
        senders.end_sender(actor=ACTOR, sender_id=options["sender"])
        self.stdout.write("Ended.")

    def _messages(self, options: dict[str, Any]) -> None:
        rows = HospitalMessage.objects.select_related("institution").defer("body").order_by("-pk")
        if options["state"]:
            rows = rows.filter(state=options["state"])
        if options["institution"]:
            rows = rows.filter(institution__code=options["institution"])
        for row in rows[: options["limit"]]:
            why = f"  {row.location} {row.error_text}" if row.error_code else ""
            self.stdout.write(
                f"{row.pk}  {row.received_at:%Y-%m-%d %H:%M:%S}  {row.institution.code}  "
                f"{row.kind}^{row.event}  {row.control_id}  {row.state}  {row.outcome}{why}"
            )

    def _replay(self, options: dict[str, Any]) -> None:
        rows = HospitalMessage.objects.order_by("pk")
        chosen = (
            rows.filter(state=HospitalMessage.State.FAILED)
            if options["failed"]
            else rows.filter(pk__in=options["message"])
        )
        ids = list(chosen.values_list("pk", flat=True))
        done = sum(replaying.replay(actor=ACTOR, message_id=pk).accepted for pk in ids)
        self.stdout.write(f"{done} of {len(ids)} done.")
