"""Log lines: the request they belong to, and no patient in them."""

from __future__ import annotations

import io
import ipaddress
import json
import logging

import pytest
import structlog
from django.http import HttpResponse
from django.urls import resolve

from common import logs, request_context


@pytest.fixture
def lines():
    """The JSON lines that come out at the end, of our loggers and of a library's."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter("json"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ID 990101200001010014 seen", "ID 990***********0014 seen"),
        ("ID 99010119810101002x.", "ID 990***********002x."),
        ("call 13812345678 now", "call 138****5678 now"),
        ("call +8613812345678 now", "call +86138****5678 now"),
        ("张三13812345678", "张三138****5678"),
        ("size 13812345678901 bytes", "size 13812345678901 bytes"),
        ("uid 1.2.840.113619.13812345678.4", "uid 1.2.840.113619.13812345678.4"),
        ("uid 1.2.840.123456789012345678", "uid 1.2.840.123456789012345678"),
        ("uid 1.2.990101200001010014", "uid 1.2.990***********0014"),
        ("DETAIL:  Key (patient_id)=(4711) already exists.", "DETAIL:  [withheld]"),
    ],
)
def test_numbers_of_people_are_masked_and_uids_are_kept(text, shown):
    assert logs.without_patient_data(text) == shown


@pytest.mark.parametrize(
    "key",
    [
        "patient_name",
        "PatientName",
        "patientID",
        "resident_id",
        "phone",
        "accession_number",
        "token",
    ],
)
def test_keys_that_name_patient_data_or_secrets_are_withheld_at_any_depth(lines, key):
    logs.get_logger("test").info("seen", **{key: "张三"}, inner={"list": [{key: "张三"}]})

    (line,) = lines()
    assert line[key] == logs.WITHHELD
    assert line["inner"]["list"][0][key] == logs.WITHHELD
    assert "张三" not in json.dumps(line, ensure_ascii=False)


def test_lines_of_libraries_and_tracebacks_are_filtered_too(lines):
    try:
        raise ValueError("no patient 990101200001010014")
    except ValueError:
        logging.getLogger("some.library").exception("lost %s", "13812345678")

    (line,) = lines()
    assert line["event"] == "lost 138****5678"
    assert "990***********0014" in line["exception"]
    assert "990101200001010014" not in json.dumps(line)


def test_a_number_given_as_integer_is_masked(lines):
    logs.get_logger("test").info("seen", value=13812345678, transfer_id=7)

    assert (lines()[0]["value"], lines()[0]["transfer_id"]) == ("138****5678", 7)


def middleware(answer=None):
    return logs.RequestContextMiddleware(lambda request: answer or HttpResponse("ok"))


def test_the_access_line_has_no_query_and_carries_the_request_id(lines, rf):
    request = rf.get(
        "/dicom-web/studies", {"PatientName": "张三"}, HTTP_X_REQUEST_ID="abcdef-123456"
    )
    request.resolver_match = None

    response = middleware()(request)

    (line,) = lines()
    assert response["X-Request-ID"] == line["request_id"] == "abcdef-123456"
    assert line["path"] == "/dicom-web/studies"
    assert line["status"] == 200
    assert "PatientName" not in json.dumps(line)


@pytest.mark.parametrize("address", ["/people/join/{}", "/launch/{}/"])
def test_the_access_line_does_not_hold_a_one_time_code(lines, rf, address):
    request = rf.get(address.format("c0de-that-opens"))
    request.resolver_match = resolve(request.path)

    middleware()(request)

    (line,) = lines()
    assert "c0de-that-opens" not in json.dumps(line)
    assert line["path"] == address.format("<str:code>")


@pytest.mark.parametrize(
    "offered", ["", "short", "x" * 65, "with blank in it", "line\nbreak-break"]
)
def test_a_harmful_request_id_is_replaced(rf, offered):
    request = rf.get("/", HTTP_X_REQUEST_ID=offered)
    request.resolver_match = None

    response = middleware()(request)

    assert response["X-Request-ID"] != offered
    assert len(response["X-Request-ID"]) == 32


def test_each_request_begins_with_an_empty_context(rf):
    structlog.contextvars.bind_contextvars(user_id=1)
    request = rf.get("/")
    request.resolver_match = None

    middleware()(request)

    assert "user_id" not in structlog.contextvars.get_contextvars()


@pytest.mark.parametrize(
    ("proxies", "meta", "address"),
    [
        ("127.0.0.0/8", {"REMOTE_ADDR": "10.0.0.7", "HTTP_X_FORWARDED_FOR": "6.6.6.6"}, "10.0.0.7"),
        ("10.0.0.7/32", {"REMOTE_ADDR": "10.0.0.7", "HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1"}, "192.0.2.1"),
        ("127.0.0.0/8", {"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "nonsense"}, ""),
        ("127.0.0.0/8", {"REMOTE_ADDR": ""}, ""),
    ],
)  # fmt: skip
def test_the_address_is_the_one_that_our_own_proxy_saw(settings, proxies, meta, address):
    settings.TRUSTED_PROXIES = (ipaddress.ip_network(proxies),)

    assert request_context.client_address(meta) == address
