"""How an endpoint is said on the command line, for every command that sets one."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from hospitals import services
from hospitals.domain.quantities import parse_rate
from hospitals.domain.quiet import parse_quiet_hours
from hospitals.models import Endpoint, Institution
from hospitals.services import EndpointSettings

Say = Callable[[str], None]


def add_endpoint_arguments(parser: ArgumentParser, *, may_push: bool = False) -> None:
    """Where the archive is, how it is entered, how gently it is asked, and whether it is probed.

    ``may_push``: instead of an address it may be said that the hospital stores by itself.
    """
    defaults = EndpointSettings()
    address = parser.add_mutually_exclusive_group(required=True)
    address.add_argument("--url", default="", help="base URL of the DICOMweb origin")
    address.add_argument("--folder", default="", help="directory of DICOM files, absolute path")
    if may_push:
        address.add_argument(
            "--push-only", action="store_true", help="nothing is asked: its PACS stores (STOW-RS)"
        )
    parser.add_argument("--auth", default="none", choices=Endpoint.Auth.values)
    parser.add_argument("--user", default="", help="user name (basic) or client id (oauth2)")
    parser.add_argument("--token-url", default="", help="where oauth2 gives its tokens")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--secret-file", help="file with the password, token, secret or PEM")
    secret.add_argument("--secret-env", help="variable with the password, token or secret")
    parser.add_argument("--concurrency", type=int, default=defaults.concurrency)
    parser.add_argument("--bandwidth", type=_value(parse_rate), help="ceiling, such as 20MB/s")
    parser.add_argument("--quiet", type=_value(parse_quiet_hours), help="HH:MM-HH:MM")
    parser.add_argument("--character-set", default="", help="where files declare none: GB18030")
    parser.add_argument("--connect-timeout", type=float, default=defaults.connect_timeout_s)
    parser.add_argument("--read-timeout", type=float, default=defaults.read_timeout_s)
    parser.add_argument("--no-probe", action="store_true", help="ask nothing now")


def endpoint_settings(options: dict[str, Any]) -> EndpointSettings:
    """The endpoint that was said.

    Raises:
        CommandError: the secret cannot be read.
    """
    quiet_from, quiet_until = options["quiet"] or (None, None)
    return EndpointSettings(
        base_url=options["url"],
        folder=options["folder"],
        auth=options["auth"],
        secret=_secret(options),
        concurrency=options["concurrency"],
        bandwidth_bytes_per_s=options["bandwidth"],
        quiet_from=quiet_from,
        quiet_until=quiet_until,
        connect_timeout_s=options["connect_timeout"],
        read_timeout_s=options["read_timeout"],
        character_set=options["character_set"],
    )


def probe_unless_told_otherwise(
    institution: Institution, options: dict[str, Any], *, actor: str, say: Say, warn: Say
) -> bool:
    """Probe and say how it went; whether the archive was reached.

    Credentials that would go in the clear are warned of in any case.
    """
    endpoint = Endpoint.objects.get(institution=institution)
    if services.credentials_in_clear(endpoint):
        warn(
            f"The credentials of {institution.code} go over plain http: "
            "whoever is on the way can read them. Have the hospital offer https."
        )
    if options["no_probe"]:
        return False
    probe = services.probe(actor=actor, institution=institution)
    if probe.reachable:
        say(f"The probe reached it in {probe.duration_ms} ms.")
    else:
        warn(f"The probe failed: {probe.error_text}")
    return probe.reachable


def _value(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        return parse(text)

    parsed.__name__ = parse.__name__.removeprefix("parse_").replace("_", " ")  # argparse names it
    return parsed


def _secret(options: dict[str, Any]) -> dict[str, str] | None:
    text = _secret_text(options)
    if text is None:
        return None
    if text.startswith("{"):
        try:
            given = json.loads(text)
        except ValueError as error:
            raise CommandError("The secret starts like JSON and is not.") from error
        return {str(name): value for name, value in given.items()}
    return {
        "none": {"secret": text},
        "basic": {"username": options["user"], "password": text},
        "bearer": {"token": text},
        "oauth2": {
            "token_url": options["token_url"],
            "client_id": options["user"],
            "client_secret": text,
        },
        "certificate": {"certificate": text, "key": text},  # one PEM file holds both
    }[options["auth"]]


def _secret_text(options: dict[str, Any]) -> str | None:
    if options["secret_file"]:
        try:
            return Path(options["secret_file"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"--secret-file cannot be read: {error}") from error
    if options["secret_env"]:
        if options["secret_env"] not in os.environ:
            raise CommandError(f"--secret-env: {options['secret_env']} is not set")
        return os.environ[options["secret_env"]].strip()
    return None
