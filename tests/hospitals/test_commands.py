"""``manage.py hospital``."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from hospitals import services
from hospitals.models import Consortium, Endpoint, Institution, Region

URL = "http://127.0.0.1:9/dicom-web"


def hospital_command(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("hospital", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def own_data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"


def test_a_code_a_name_and_an_address_are_enough(db, folder):
    out, err = hospital_command("add", "H1", "--name", "省医院", "--folder", str(folder))

    institution = Institution.objects.get(code="H1")
    assert (institution.state, institution.region.code) == ("active", "420000")
    assert "H1 is active." in out
    assert err == ""


def test_a_failed_probe_leaves_it_onboarding_with_a_warning(db):
    _out, err = hospital_command("add", "H1", "--name", "x", "--url", URL)

    assert Institution.objects.get(code="H1").state == "onboarding"
    assert "The probe failed: Nothing answers" in err
    assert "manage.py hospital activate H1" in err


def test_a_hospital_that_only_pushes_is_added_without_an_address(db):
    said, _err = hospital_command("add", "H9", "--name", "河阳医院", "--push-only")

    assert "manage.py hospital activate H9" in said
    with pytest.raises(CommandError, match="endpoint"):
        hospital_command("activate", "H9")


def test_activation_can_be_asked_for_without_a_probe(db):
    hospital_command("add", "H1", "--name", "x", "--url", URL, "--no-probe", "--activate")

    assert Institution.objects.get(code="H1").state == "active"
    assert Endpoint.objects.get().probes.count() == 0


def test_the_only_consortium_of_the_region_is_joined_unless_told_otherwise(region):
    Consortium.objects.create(code="C1", name="医联体", region=region)

    out, _err = hospital_command("add", "H1", "--name", "x", "--url", URL, "--no-probe")
    hospital_command("add", "H2", "--name", "x", "--url", URL, "--no-probe", "--no-consortium")

    assert "医联体" in out
    assert Institution.objects.get(code="H1").consortium.code == "C1"
    assert Institution.objects.get(code="H2").consortium is None


def test_with_several_regions_the_region_must_be_said_and_nothing_is_left_behind(region):
    Region.objects.create(code="430000", name="湖南省")

    with pytest.raises(CommandError, match="--region"):
        hospital_command("add", "H1", "--name", "x", "--url", URL)
    assert not Institution.objects.exists()


def test_every_setting_of_the_endpoint_can_be_given(db, tmp_path, monkeypatch):
    monkeypatch.setenv("PACS_PASSWORD", "p4ss")
    hospital_command(
        *("add", "H1", "--name", "x", "--url", URL, "--no-probe", "--auth", "basic"),
        *("--user", "u", "--secret-env", "PACS_PASSWORD", "--concurrency", "2"),
        *("--bandwidth", "20MB/s", "--quiet", "08:00-12:00", "--character-set", "GB18030"),
        *("--consortium", "C9", "--level", "tertiary", "--credit-code", "91350100M000100Y43"),
    )

    endpoint = Endpoint.objects.get()
    assert services.origins.origin_config(endpoint).secret == {"username": "u", "password": "p4ss"}
    assert (endpoint.concurrency, endpoint.bandwidth_bytes_per_s) == (2, 20_000_000)
    assert (endpoint.quiet_from.hour, endpoint.character_set) == (8, "GB18030")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--url", "ftp://a"), "http"),
        (("--folder", "nowhere"), "absolute"),
        (("--url", URL, "--credit-code", "123"), "credit code"),
        (("--url", URL, "--auth", "bearer"), "secret"),
        (("--url", URL, "--quiet", "8"), "quiet hours"),
        (("--url", URL, "--auth", "bearer", "--secret-file", "/no/such"), "cannot be read"),
    ],
)
def test_a_mistake_is_a_sentence_and_leaves_nothing_behind(db, arguments, text):
    with translation.override("en"), pytest.raises(CommandError, match=text):
        hospital_command("add", "H1", "--name", "x", *arguments)
    assert not Institution.objects.exists()
    assert not Region.objects.exists()


def test_an_institution_of_a_rebuilt_index_gets_its_endpoint_back(hospital, folder):
    out, err = hospital_command("endpoint", "H1", "--folder", str(folder), "--concurrency", "2")

    endpoint = Endpoint.objects.get(institution=hospital)
    assert (endpoint.folder, endpoint.concurrency) == (str(folder), 2)
    assert f"is asked at {folder}: authentication none, 2 at once" in out
    assert "The probe reached it" in out
    assert "H1 is onboarding and is not pulled. Then: manage.py hospital activate H1" in err
    hospital.refresh_from_db()
    assert hospital.state == "onboarding"


def test_an_endpoint_is_set_whole_and_only_its_secret_stays(hospital, monkeypatch):
    monkeypatch.setenv("PACS_TOKEN", "t0ken")
    asked = ("endpoint", "H1", "--url", URL, "--no-probe", "--auth", "bearer")
    hospital_command(*asked, "--secret-env", "PACS_TOKEN", "--quiet", "08:00-12:00")

    out, _err = hospital_command(*asked, "--bandwidth", "20MB/s")

    endpoint = Endpoint.objects.get()
    assert services.origins.origin_config(endpoint).secret == {"token": "t0ken"}
    assert (endpoint.quiet_from, endpoint.bandwidth_bytes_per_s) == (None, 20_000_000)
    assert "at most 20 MB/s" in out
    assert "t0ken" not in out
    assert endpoint.probes.count() == 0


def test_a_new_endpoint_that_nobody_answers_at_is_kept_with_a_warning(hospital, folder):
    hospital_command("endpoint", "H1", "--folder", str(folder))
    hospital_command("activate", "H1")

    _out, err = hospital_command("endpoint", "H1", "--url", URL)

    assert Endpoint.objects.get().base_url == URL
    assert "The probe failed: Nothing answers" in err
    assert "not pulled" not in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("H404", "--url", URL), "H404"),
        (("H1",), "--url --folder"),
        (("H1", "--url", "ftp://a"), "http"),
        (("H1", "--url", URL, "--auth", "bearer"), "secret"),
        (("H1", "--url", URL, "--folder", "/a"), "not allowed with"),
    ],
)
def test_a_mistake_about_an_endpoint_is_a_sentence_and_sets_none(hospital, arguments, text):
    with translation.override("en"), pytest.raises(CommandError, match=text):
        hospital_command("endpoint", *arguments)
    assert not Endpoint.objects.exists()


def test_the_list_is_a_table_for_people_and_json_for_programs(hospital, endpoint):
    table, _err = hospital_command("list")
    text, _err = hospital_command("list", "--json")

    assert "省第一人民医院" in table
    assert URL in table
    assert json.loads(text)[0]["state"] == "onboarding"


def test_an_empty_list_says_how_to_begin(db):
    assert "hospital add" in hospital_command("list")[0]


def test_a_probe_that_fails_is_an_error_with_its_reason(hospital, endpoint):
    with pytest.raises(CommandError, match="Nothing answers"):
        hospital_command("probe", "H1", "--json")


def test_a_probe_prints_each_ability(hospital, folder):
    services.set_endpoint(
        actor="test",
        institution=hospital,
        endpoint=services.EndpointSettings(folder=str(folder)),
    )

    table, _err = hospital_command("probe", "H1")
    text, _err = hospital_command("probe", "H1", "--json")

    assert "letter.txt" in table
    assert json.loads(text)["abilities"]["broken_files"] == 1


def test_suspend_activate_and_leave_change_the_state(hospital, endpoint):
    for arguments, state in [
        (("activate", "H1"), "active"),
        (("suspend", "H1", "--reason", "move"), "suspended"),
        (("leave", "H1", "--reason", "closed"), "left"),
    ]:
        hospital_command(*arguments)
        hospital.refresh_from_db()
        assert hospital.state == state


def test_an_unknown_code_is_a_sentence(db):
    with pytest.raises(CommandError, match="H404"):
        hospital_command("probe", "H404")


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://192.0.2.1/dicom-web", True), ("https://192.0.2.1/dicom-web", False), (URL, False)],
)
def test_credentials_over_plain_http_are_warned_of(db, monkeypatch, url, warned):
    monkeypatch.setenv("TOKEN_OF_H1", "secret-token")

    _out, err = hospital_command(
        "add", "H1", "--name", "x", "--url", url, "--no-probe", "--activate",
        "--auth", "bearer", "--secret-env", "TOKEN_OF_H1",
    )  # fmt: skip

    assert ("plain http" in err) is warned
    assert "secret-token" not in err
