"""``manage.py hospital add``: one command from a name and an address to an active hospital."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.db import transaction

from hospitals import selectors, services
from hospitals.errors import ConsortiumUnknown, RegionNotSaid
from hospitals.management.endpoint_options import (
    Say,
    add_endpoint_arguments,
    endpoint_settings,
    probe_unless_told_otherwise,
)
from hospitals.models import Consortium, Institution, Region

# The province this was first built for; only used when there is no region and none is given.
FIRST_REGION = ("420000", "湖北省")


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``add``; CODE, --name and an address (or --push-only) are enough."""
    parser.add_argument("code", help="short code: letters, digits, hyphens and underscores")
    parser.add_argument("--name", required=True)
    parser.add_argument("--region", help="six digits; default: the only region there is")
    parser.add_argument("--region-name", help="name of the region if it is new")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--consortium", help="code; made if it is new")
    group.add_argument("--no-consortium", action="store_true", help="join none")
    parser.add_argument("--credit-code", default="", help="unified social credit code")
    parser.add_argument("--level", default="ungraded", choices=Institution.Level.values)
    parser.add_argument("--kind", default="general", choices=Institution.Kind.values)
    add_endpoint_arguments(parser, may_push=True)
    parser.add_argument("--activate", action="store_true", help="even if the probe fails")


def run(options: dict[str, Any], *, actor: str, say: Say, warn: Say) -> None:
    """Add, probe and activate; a failed probe leaves the institution onboarding, with a warning."""
    settings = None if options["push_only"] else endpoint_settings(options)
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
        if settings is not None:
            services.set_endpoint(actor=actor, institution=institution, endpoint=settings)
    say(f"{institution.code} {institution.name} was added.")
    if settings is None:
        say(
            f"It stores by itself: manage.py member add NAME integrator --institution {institution.code} "
            f"--create --system; manage.py create_token NAME; manage.py hospital activate {institution.code}"
        )
        return
    reached = probe_unless_told_otherwise(institution, options, actor=actor, say=say, warn=warn)
    if reached or options["activate"]:
        services.activate(actor=actor, code=institution.code)
        say(f"{institution.code} is active.")
    else:
        warn(
            f"{institution.code} stays onboarding and is not pulled. "
            f"Then: manage.py hospital probe {institution.code}; "
            f"manage.py hospital activate {institution.code}"
        )


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
