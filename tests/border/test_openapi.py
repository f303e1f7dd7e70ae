"""schemathesis drives every operation of the API's own description against the running application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis import checks as general
from schemathesis.specs.openapi import checks

from common.accounts.models import User
from common.accounts.tokens import create_token, remembered
from config.wsgi import application
from hospitals.models import Endpoint
from tests.support.pages import Province, make_province

EXAMPLES = 25  # an operation; all of them together stay within a minute
CHECKS: list[Any] = [
    general.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


@pytest.fixture
def province(db: None) -> Province:
    return make_province()


@pytest.fixture
def one_connection() -> Iterator[None]:
    """The application leaves the connection of the test, in its transaction, as it is."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def headers(province: Province) -> dict[str, str]:
    """Of somebody who may do everything here: the commission."""
    remembered.clear()
    province.client("commission")
    user = User.objects.get(username="commission-")
    return {"Authorization": f"Bearer {create_token(actor='test', user=user)}"}


@pytest.mark.usefixtures("one_connection")
def test_every_operation_answers_as_the_description_says(headers: dict[str, str]) -> None:
    described = schemathesis.openapi.from_wsgi(
        "/api/v1/schema?format=json", application, headers=headers
    )

    driven = [_drive(each.ok(), headers) for each in described.get_all_operations()]

    assert len(driven) >= 15


def _drive(operation: Any, headers: dict[str, str]) -> str:
    # Nobody answers there: a probe is refused at once, whatever an earlier operation made of it.
    Endpoint.objects.update(
        kind="dicomweb", base_url="http://127.0.0.1:9/dicom-web", folder="", connect_timeout_s=1
    )

    # In a body the framework reads the number 1 as the text "1", and we let it.
    further = [checks.negative_data_rejection] if operation.method == "get" else []
    strategies = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*strategies), code=st.sampled_from(["EAST", "WEST", ""]))
    def drive(case: Any, code: str) -> None:
        if code and "code" in (case.path_parameters or {}):
            case.path_parameters["code"] = code  # else nearly every address would be one of nobody
        case.call_and_validate(headers=headers, checks=[*CHECKS, *further])

    drive()
    return str(operation.label)
