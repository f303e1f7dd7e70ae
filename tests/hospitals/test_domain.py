"""Rules without a database."""

from __future__ import annotations

import datetime as dt

import pytest

from hospitals.domain import circuit, samples, secrets
from hospitals.domain.abilities import Abilities
from hospitals.domain.clear_text import sends_credentials_in_clear
from hospitals.domain.codes import is_plain_code, is_region_code
from hospitals.domain.policy import InstitutionFacts, PullPolicy
from hospitals.domain.quantities import format_rate, parse_rate
from hospitals.domain.quiet import is_quiet, parse_quiet_hours

NOW = dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)


def policy(**changes) -> PullPolicy:
    facts = {
        "institution_id": 1,
        "code": "H1",
        "name": "x",
        "state": "active",
        "kind": "dicomweb",
        "concurrency": 4,
        "bandwidth_bytes_per_s": None,
        "quiet_from": dt.time(8),
        "quiet_until": dt.time(12),
        "failures": 0,
        "open_until": None,
        "abilities": None,
        "character_set": "",
    }
    return PullPolicy(**(facts | changes))


@pytest.mark.parametrize(
    ("hours", "at", "quiet"),
    [
        pytest.param((8, 12), dt.time(8), True, id="start-is-quiet"),
        pytest.param((8, 12), dt.time(12), False, id="end-is-not"),
        pytest.param((8, 12), dt.time(7, 59), False, id="before"),
        pytest.param((22, 6), dt.time(23), True, id="over-midnight-evening"),
        pytest.param((22, 6), dt.time(5, 59), True, id="over-midnight-morning"),
        pytest.param((22, 6), dt.time(12), False, id="over-midnight-noon"),
    ],
)
def test_quiet_hours_are_half_open_and_may_pass_midnight(hours, at, quiet):
    start, end = (dt.time(hour) for hour in hours)

    assert is_quiet(quiet_from=start, quiet_until=end, at=at) is quiet


def test_without_quiet_hours_no_time_is_quiet():
    assert not is_quiet(quiet_from=None, quiet_until=None, at=dt.time(3))


@pytest.mark.parametrize("text", ["8", "08:00", "08:00-08:00", "25:00-26:00", "a-b"])
def test_quiet_hours_of_another_form_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  # any text: argparse says the rest
        parse_quiet_hours(text)


def test_two_failures_are_borne_and_the_third_opens_the_circuit():
    assert circuit.open_interval_s(failures=2, random=1) is None
    assert circuit.open_interval_s(failures=3, random=1) == 30


def test_the_interval_doubles_up_to_half_an_hour_and_is_spread_by_half():
    assert circuit.open_interval_s(failures=4, random=1) == 60
    assert circuit.open_interval_s(failures=99, random=1) == 1800
    assert circuit.open_interval_s(failures=99, random=0) == 900


def test_a_refusal_of_credentials_opens_at_once_because_repeating_mends_nothing():
    assert circuit.open_interval_s(failures=1, random=1, error_code="origin-refused") == 30


def test_retry_after_is_the_least_and_at_most_an_hour():
    assert circuit.open_interval_s(failures=1, random=0, retry_after_s=120) == 120
    assert circuit.open_interval_s(failures=1, random=0, retry_after_s=86400) == 3600


def test_an_answer_about_one_resource_says_nothing_about_the_endpoint():
    assert not circuit.counts("origin-not-found")
    assert not circuit.counts("origin-cut-off")
    assert circuit.counts("origin-timeout")


def test_no_slot_while_the_circuit_is_open_one_when_it_has_just_closed_else_the_cap():
    later, earlier = NOW + dt.timedelta(seconds=1), NOW - dt.timedelta(seconds=1)

    assert policy(open_until=later).slots(NOW) == 0
    assert policy(open_until=earlier).slots(NOW) == 1
    assert policy().slots(NOW) == 4
    assert policy(state="suspended").slots(NOW) == 0


def test_planned_work_waits_for_the_end_of_quiet_hours():
    assert not policy().may_pull(now=NOW, local=dt.time(9))
    assert policy().may_pull(now=NOW, local=dt.time(13))


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("20MB/s", 20_000_000), ("8 MiB/s", 8 * 2**20), ("100Mbit/s", 12_500_000), ("5000", 5000)],
)
def test_rates_are_read_as_people_write_them(text, bytes_per_s):
    assert parse_rate(text) == bytes_per_s


@pytest.mark.parametrize("text", ["", "fast", "-3MB/s", "0", "1 MB/h"])
def test_a_rate_of_another_form_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        parse_rate(text)


def test_a_rate_is_shown_in_a_readable_unit():
    assert format_rate(20_000_000) == "20 MB/s"


@pytest.mark.parametrize("text", ["", "-a", "a b", "a/b", "..", "a" * 65, "医院", "H1\n"])
def test_a_code_that_cannot_stand_in_a_key_or_an_address_is_refused(text):
    assert not is_plain_code(text)


def test_a_region_code_has_six_ascii_digits():
    assert is_region_code("420000")
    assert not is_region_code("42000")
    assert not is_region_code("４２００００")


@pytest.mark.parametrize(
    ("auth", "urls", "in_clear"),
    [
        ("basic", ["http://192.0.2.1/dicom-web"], True),
        ("bearer", ["HTTP://pacs.example/dicom-web"], True),
        ("oauth2", ["https://pacs.example", "http://login.example/token"], True),
        ("oauth2", ["https://pacs.example", "https://login.example/token"], False),
        ("basic", ["https://pacs.example"], False),
        ("basic", ["http://127.0.0.9:8080"], False),
        ("basic", ["http://[::1]/dicom-web"], False),
        ("basic", ["http://localhost/dicom-web"], False),
        ("basic", ["http://localhost.example/dicom-web"], True),
        ("certificate", ["http://pacs.example"], False),
        ("none", ["http://pacs.example"], False),
    ],
)
def test_credentials_go_in_the_clear_over_http_to_another_machine(auth, urls, in_clear):
    assert sends_credentials_in_clear(auth, *urls) is in_clear


def test_abilities_survive_storage_and_names_of_another_release():
    abilities = Abilities(
        limit=True, latency_ms={"studies": 5}, broken=(("a.dcm", "why"),), notes=("n",)
    )

    assert Abilities.from_json(abilities.to_json() | {"unheard_of": 1}) == abilities


def test_institution_facts_survive_storage():
    facts = InstitutionFacts("H1", "x", "", "tertiary", "general", "420000", "湖北省")

    assert InstitutionFacts.from_json(facts.to_json() | {"unheard_of": 1}) == facts


def test_a_secret_that_lacks_a_part_or_holds_another_kinds_is_named_without_its_value():
    found = secrets.faults("basic", {"username": "u", "token": "s3cret"})

    assert found == ["password: missing", "token: not used by basic"]


def test_a_credential_with_a_line_end_is_refused_because_it_would_add_a_header():
    assert secrets.faults("bearer", {"token": "a\r\nX: y"}) == ["token: holds a control character"]


def test_the_transfer_syntax_is_read_from_the_meta_header_before_the_content_type():
    head = b"\0" * 128 + b"DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"

    assert samples.transfer_syntax(content_type="x", head=head) == "1.2.840.10008.1.2.1"
    declared = 'application/dicom; transfer-syntax="1.2.840.10008.1.2.4.90"'
    assert samples.transfer_syntax(content_type=declared, head=b"") == "1.2.840.10008.1.2.4.90"


@pytest.mark.parametrize(
    ("returned", "available", "verdict"),
    [
        pytest.param("1.2.840.10008.1.2.4.90", "", True, id="compressed-was-held-so"),
        pytest.param("1.2.840.10008.1.2.1", "", None, id="native-tells-nothing"),
        pytest.param("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", False, id="was-decompressed"),
    ],
)
def test_whether_the_stored_syntax_came_back(returned, available, verdict):
    assert samples.is_stored_syntax(returned=returned, available=available) is verdict


def test_han_characters_are_found_in_any_group_of_a_name():
    study = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Zhang^San", "Ideographic": "张^三"}]}
    }

    assert samples.han_text(study, "00100010") == "张"
    assert samples.value(study, "00100010") == "Zhang^San"
