"""``manage.py hospital add``: one command from a name and an address to an active hospital."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from hospitals import selectors, services
from hospitals.domain.quantities import parse_rate
from hospitals.domain.quiet import parse_quiet_hours
from hospitals.errors import ConsortiumUnknown, RegionNotSaid
from hospitals.models import Consortium, Endpoint, Institution, Region
from hospitals.services import EndpointSettings

Say = Callable[[str], None]

# The province this was first built for; only used when there is no region and none is given.
FIRST_REGION = ("420000", "湖北省")


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``add``; CODE, --name and an address are enough."""
    defaults = EndpointSettings()
    parser.add_argument("code", help="short code: letters, digits, hyphens and underscores")
    parser.add_argument("--name", required=True)
    address = parser.add_mutually_exclusive_group(required=True)
    address.add_argument("--url", default="", help="base URL of the DICOMweb origin")
    address.add_argument("--folder", default="", help="directory of DICOM files, absolute path")
    parser.add_argument("--region", help="six digits; default: the only region there is")
    parser.add_argument("--region-name", help="name of the region if it is new")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--consortium", help="code; made if it is new")
    group.add_argument("--no-consortium", action="store_true", help="join none")
    parser.add_argument("--credit-code", default="", help="unified social credit code")
    parser.add_argument("--level", default="ungraded", choices=Institution.Level.values)
    parser.add_argument("--kind", default="general", choices=Institution.Kind.values)
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
    parser.add_argument("--activate", action="store_true", help="even if the probe fails")
    parser.add_argument("--no-probe", action="store_true", help="ask nothing now")


def _value(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        return parse(text)

    parsed.__name__ = parse.__name__.removeprefix("parse_").replace("_", " ")  # argparse names it
    return parsed


def run(options: dict[str, Any], *, actor: str, say: Say, warn: Say) -> None:
    """Add, probe and activate; a failed probe leaves the institution onboarding, with a warning."""
    settings = _endpoint_settings(options)
    with transaction.atomic():
        region = _region(options, actor=actor, say=say)
        institution = services.add_institution(
            actor=actor,
            code=options["code"],
            name=options["name"],
            region=region,
            consortium=_consortium(options, region, actor=actor, say=say),
            credit_code=options["credit_code"],
            level=options["level"],
            kind=options["kind"],
        )
        services.set_endpoint(actor=actor, institution=institution, endpoint=settings)
    say(f"{institution.code} {institution.name} was added.")
    reached = not options["no_probe"] and _probe(institution, actor=actor, say=say, warn=warn)
    if reached or options["activate"]:
        services.activate(actor=actor, code=institution.code)
        say(f"{institution.code} is active.")
    else:
        warn(
            f"{institution.code} stays onboarding and is not pulled. "
            f"Then: manage.py hospital probe {institution.code}; "
            f"manage.py hospital activate {institution.code}"
        )


def _probe(institution: Institution, *, actor: str, say: Say, warn: Say) -> bool:
    probe = services.probe(actor=actor, institution=institution)
    if probe.reachable:
        say(f"The probe reached it in {probe.duration_ms} ms.")
    else:
        warn(f"The probe failed: {probe.error_text}")
    return probe.reachable


def _region(options: dict[str, Any], *, actor: str, say: Say) -> Region:
    known = list(selectors.regions())
    code, name = options["region"], options["region_name"]
    if code is None and len(known) == 1:
        return known[0]
    if code is None and known:
        raise RegionNotSaid("Several regions exist: say one with --region.")
    if code is None:
        code, name = FIRST_REGION[0], name or FIRST_REGION[1]
    for region in known:
        if region.code == code:
            return region
    region = services.add_region(actor=actor, code=code, name=name or code)
    say(f"Region {region.code} {region.name} was added.")
    return region


def _consortium(
    options: dict[str, Any], region: Region, *, actor: str, say: Say
) -> Consortium | None:
    code = options["consortium"]
    if options["no_consortium"]:
        return None
    if code is None:
        found = list(selectors.consortia().filter(region=region)[:2])
        if len(found) != 1:
            return None
        say(f"It joins {found[0].name}, the region's only consortium (--no-consortium: none).")
        return found[0]
    try:
        return selectors.get_consortium(code=code)
    except ConsortiumUnknown:
        say(f"Consortium {code} was added.")
        return services.add_consortium(actor=actor, code=code, name=code, region=region)


def _endpoint_settings(options: dict[str, Any]) -> EndpointSettings:
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
