"""What ``manage.py check --deploy`` says of our own settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def hospital_networks_are_narrowed(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """A warning where hospitals may have any address: whoever sets an endpoint could name others' machines."""
    everywhere = any(network.prefixlen == 0 for network in settings.HOSPITAL_NETWORKS)
    if settings.DEMO or not everywhere:
        return []
    return [
        Warning(
            "HOSPITAL_NETWORKS allows every address.",
            hint="Name the networks that hospitals are reached in, in CIDR form, by comma.",
            id="config.W001",
        )
    ]
