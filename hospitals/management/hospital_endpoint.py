"""``manage.py hospital endpoint``: set or change where an institution's archive answers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from hospitals import selectors, services
from hospitals.management.endpoint_options import (
    Say,
    add_endpoint_arguments,
    endpoint_settings,
    probe_unless_told_otherwise,
)
from hospitals.models import Endpoint, Institution


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``endpoint``: those of ``add`` that concern the endpoint."""
    parser.add_argument("code")
    add_endpoint_arguments(parser)
    parser.epilog = (
        "The endpoint is set whole: what is left out takes its default. "
        "Only a stored secret stays, while --url and --auth stay."
    )


def run(options: dict[str, Any], *, actor: str, say: Say, warn: Say) -> None:
    """Set, probe, and say what holds now. The institution's state stays as it is."""
    settings = endpoint_settings(options)
    institution = selectors.get_institution(code=options["code"])
    endpoint = services.set_endpoint(actor=actor, institution=institution, endpoint=settings)
    say(f"{institution.code} {institution.name} is asked at {endpoint}: {_manner(endpoint)}.")
    reached = probe_unless_told_otherwise(institution, options, actor=actor, say=say, warn=warn)
    if institution.state == Institution.State.ACTIVE:
        return
    check = "" if reached else f"manage.py hospital probe {institution.code}; "
    warn(
        f"{institution.code} is {institution.state} and is not pulled. "
        f"Then: {check}manage.py hospital activate {institution.code}"
    )


def _manner(endpoint: Endpoint) -> str:
    words = [f"authentication {endpoint.auth}", f"{endpoint.concurrency} at once"]
    if endpoint.bandwidth_bytes_per_s:
        words.append(f"at most {endpoint.bandwidth_bytes_per_s / 1e6:g} MB/s")
    if endpoint.quiet_from and endpoint.quiet_until:
        words.append(f"not from {endpoint.quiet_from:%H:%M} to {endpoint.quiet_until:%H:%M}")
    words.append(f"character set {endpoint.character_set or 'as declared'}")
    return ", ".join(words)
