"""``manage.py check --deploy`` on our own settings."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from django.core.checks import Tags, run_checks


def found() -> set[str]:
    return {
        str(message.id)
        for message in run_checks(tags=[Tags.security], include_deployment_checks=True)
    }


@pytest.mark.parametrize(
    ("networks", "demo", "warned"),
    [
        pytest.param(("0.0.0.0/0", "::/0"), False, True, id="the default"),
        pytest.param(("10.0.0.0/8", "::/0"), False, True, id="half of it"),
        pytest.param(("10.0.0.0/8",), False, False, id="narrowed"),
        pytest.param(("0.0.0.0/0", "::/0"), True, False, id="a demo"),
    ],
)
def test_hospital_networks_that_are_not_narrowed_are_warned_of(
    settings: Any, networks: tuple[str, ...], demo: bool, warned: bool
) -> None:
    settings.HOSPITAL_NETWORKS = tuple(ipaddress.ip_network(text) for text in networks)
    settings.DEMO = demo

    assert ("config.W001" in found()) is warned
