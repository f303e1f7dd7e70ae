"""``manage.py hospital add|endpoint|list|probe|suspend|activate|leave``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from common.errors import DomainError
from hospitals import selectors, services
from hospitals.management import hospital_add, hospital_endpoint, hospital_show

ACTOR = "manage.py hospital"


class Command(BaseCommand):
    """Members of the province from the command line."""

    help = "Bring hospitals on board, list them, probe their archives, suspend them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        hospital_add.add_arguments(
            verbs.add_parser("add", help="add an institution with its endpoint, and probe it")
        )
        hospital_endpoint.add_arguments(
            verbs.add_parser("endpoint", help="set or change where an institution is asked")
        )
        listing = verbs.add_parser("list", help="who is connected, and how well")
        listing.add_argument("--json", action="store_true", help="for programs")
        probing = verbs.add_parser("probe", help="measure what an archive can do")
        probing.add_argument("code")
        probing.add_argument("--json", action="store_true", help="for programs")
        for verb, text in (
            ("suspend", "ask nothing of an institution until it is activated"),
            ("leave", "record that an institution has left for good"),
        ):
            leaving = verbs.add_parser(verb, help=text)
            leaving.add_argument("code")
            leaving.add_argument("--reason", required=True)
        verbs.add_parser("activate", help="pull an institution from now on").add_argument("code")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except DomainError as error:
            raise CommandError(error.message) from error

    def _add(self, options: dict[str, Any]) -> None:
        hospital_add.run(options, actor=ACTOR, say=self._say, warn=self._warn)

    def _endpoint(self, options: dict[str, Any]) -> None:
        hospital_endpoint.run(options, actor=ACTOR, say=self._say, warn=self._warn)

    def _list(self, options: dict[str, Any]) -> None:
        rows = selectors.health_overview(actor=ACTOR)
        if options["json"]:
            self._say(hospital_show.as_json([hospital_show.row_facts(row) for row in rows]))
        elif rows:
            self._console().print(hospital_show.overview_table(rows))
        else:
            self._say(
                "There is no institution yet: manage.py hospital add CODE --name NAME --url URL"
            )

    def _probe(self, options: dict[str, Any]) -> None:
        institution = selectors.get_institution(code=options["code"])
        probe = services.probe(actor=ACTOR, institution=institution)
        view = selectors.probe_view(probe)
        if options["json"]:
            self._say(hospital_show.as_json(hospital_show.probe_facts(view)))
        else:
            self._console().print(hospital_show.probe_table(institution.code, view))
        if not view.reachable:
            raise CommandError(f"{institution.code} cannot be used: {view.error_text}")

    def _suspend(self, options: dict[str, Any]) -> None:
        services.suspend(actor=ACTOR, code=options["code"], reason=options["reason"])
        self._say(f"{options['code']} is suspended.")

    def _leave(self, options: dict[str, Any]) -> None:
        services.leave(actor=ACTOR, code=options["code"], reason=options["reason"])
        self._say(f"{options['code']} has left.")

    def _activate(self, options: dict[str, Any]) -> None:
        services.activate(actor=ACTOR, code=options["code"])
        self._say(f"{options['code']} is active.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)

    def _warn(self, text: str) -> None:
        self.stderr.write(self.style.WARNING(text))

    def _console(self) -> Console:
        # 160 columns where nobody looks at a terminal: a table in a log must not lose its cells.
        stream: Any = self.stdout
        return Console(file=stream, width=None if stream.isatty() else 160)
