"""A launch opens one person to one clinician, for reading, while the visit is open; and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from common.accounts.models import User
from common.audit.models import AuditEntry, RepeatedAccess
from sharing.domain.launch import NAMES, SignedForm, is_signed
from sharing.models import Launch
from sharing.permissions import forget_sights
from sharing.selectors.launches import forget_sessions
from sharing.services import encounters, launching
from tests.sharing.launch.conftest import ORIGIN, Ward


def forget() -> None:
    forget_sessions()
    forget_sights()


def test_the_address_names_nobody_and_opens_once(ward: Ward) -> None:
    answer = ward.ask()
    assert answer.status_code == 201
    url = answer.json()["url"]
    for secret in ("P1", "V1", "D7", "home"):
        assert secret not in url

    first, second = Client(), Client()
    path = url.removeprefix("http://testserver")
    assert first.head(path).status_code == 200  # a look uses nothing up
    assert first.get(path).status_code == 302
    assert second.get(path).status_code == 404
    assert "launch" not in second.cookies


def test_it_shows_the_persons_time_line_over_all_hospitals(ward: Ward) -> None:
    client = ward.launched()

    answer = client.get("/launch/ready/home/", follow=True)

    assert answer.request["PATH_INFO"] == f"/patients/{ward.treated.person.key}/"
    html = answer.content.decode()
    assert "1.2.3.1" in html
    assert "1.2.3.2" in html  # of the other hospital, because the visit is open
    assert "1.2.3.3" not in html
    assert "李医师" in html


def test_searches_and_metadata_know_this_person_only(ward: Ward) -> None:
    client = ward.launched()

    found = client.get("/dicom-web/studies", headers={"Accept": "application/dicom+json"}).json()
    assert {each["0020000D"]["Value"][0] for each in found} == {"1.2.3.1", "1.2.3.2"}
    assert client.get("/dicom-web/studies/1.2.3.3/metadata").status_code == 404
    assert client.get("/studies/home/1.2.3.3/").status_code == 404
    assert client.get("/studies/away/1.2.3.2/").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/studies/",
        "/desk/",
        "/accounts/account/",
        "/accounts/password/",
        "/hospitals/home/",
        "/operations/",
        "/operations/messages/",
        "/reports/",
        "/admin/",
        "/fhir/metadata",
        "/fhir/Patient",
        "/api/v1/institutions",
        "/api/v1/docs",
        "/dicom-web/studies?PatientName=Wang&federated=true",
    ],
)
def test_no_other_page_and_no_interface_opens(ward: Ward, address: str) -> None:
    assert ward.launched().get(address).status_code in {403, 404}


def test_another_person_does_not_open_by_key(ward: Ward) -> None:
    client = ward.launched()

    assert client.get(f"/patients/{ward.other.person.key}/").status_code in {403, 404}
    assert client.get(f"/emergency/{ward.treated.person.key}/").status_code == 403


@pytest.mark.parametrize(
    "address",
    [
        "/patients/{key}/",
        "/desk/consents",
        "/dicom-web/studies",
        "/api/v1/launches",
        "/i18n/setlang/",
    ],
)
def test_nothing_is_written(ward: Ward, address: str) -> None:
    client = ward.launched()

    answer = client.post(address.format(key=ward.treated.person.key), {"x": "y"})

    assert answer.status_code in {403, 404}


def test_every_look_is_in_the_audit_under_the_clinicians_name(ward: Ward) -> None:
    client = ward.launched()
    client.get("/launch/ready/home/", follow=True)

    opened = AuditEntry.objects.get(action="launch.open")
    assert opened.actor_name == "launch:home:D7"
    assert opened.actor_institution_code == "home"
    assert (opened.basis, opened.purpose) == ("encounter", "treatment")
    looked = RepeatedAccess.objects.get(values__action="patient.view")
    assert looked.values["actor_name"] == "launch:home:D7"
    asked = AuditEntry.objects.get(action="launch.ask")
    assert asked.actor_name == "his-home"
    user = User.objects.get(username="launch:home:D7")
    assert (user.first_name, user.has_usable_password()) == ("李医师", False)


def test_without_an_open_visit_there_is_no_launch(ward: Ward) -> None:
    assert ward.ask(patient_number="P2").status_code == 409
    assert ward.ask(patient_number="never").status_code == 409
    assert ward.ask(patient_number="", visit_number="V1").status_code == 201
    assert ward.ask(patient_number="P2", visit_number="V1").status_code == 409
    assert ward.ask(patient_number="").status_code == 400

    encounters.close_encounter(actor="test", encounter=ward.visit)
    answer = ward.ask()
    assert (answer.status_code, answer.json()["code"]) == (409, "no-open-encounter")


def test_the_view_ends_with_the_visit(ward: Ward) -> None:
    client = ward.launched()
    assert client.get("/studies/away/1.2.3.2/").status_code == 200

    encounters.close_encounter(actor="test", encounter=ward.visit)
    forget()

    answer = client.get("/studies/home/1.2.3.1/", follow=True)
    assert "This view has ended" in answer.content.decode()
    assert client.get("/dicom-web/studies").status_code == 401


def test_the_view_ends_with_its_term_and_with_a_button(ward: Ward) -> None:
    client = ward.launched()
    Launch.objects.update(expires_at=timezone.now(), created_at=timezone.now() - timedelta(hours=1))
    forget()
    assert client.get("/dicom-web/studies").status_code == 401

    client = ward.launched()
    assert client.get("/dicom-web/studies").status_code == 200
    assert client.post("/launch/end/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    assert client.get("/dicom-web/studies").status_code == 200
    client.post("/launch/end/")
    assert client.get("/dicom-web/studies").status_code == 401
    assert AuditEntry.objects.filter(action="launch.end").count() == 1


@pytest.mark.parametrize("what", ["account", "role", "system", "institution", "late"])
def test_it_ends_or_never_begins_when_somebody_is_no_longer_in_force(ward: Ward, what: str) -> None:
    path = ward.ask().json()["url"].removeprefix("http://testserver")
    client = ward.launched()
    if what == "account":
        User.objects.filter(username="launch:home:D7").update(is_active=False)
    elif what == "role":
        User.objects.get(username="launch:home:D7").memberships.update(
            valid_until=timezone.localdate()
        )
    elif what == "system":
        launching.end_system(actor="test", key_id=ward.system.key_id)
    elif what == "institution":
        type(ward.home).objects.filter(pk=ward.home.pk).update(state="suspended", state_reason="x")
    else:
        Launch.objects.filter(opened_at=None).update(open_before=timezone.now())
    forget()

    if what == "late":
        assert Client().get(path).status_code == 404
        return
    assert client.get("/studies/away/1.2.3.2/").status_code in {302, 404}
    assert ward.ask().status_code in {403, 409}


def test_a_stolen_code_of_another_institution_is_of_no_use_to_its_system(ward: Ward) -> None:
    """An account that is no order-entry system, and one of another hospital, launch nothing."""
    from common.accounts.tokens import create_token
    from tests.support.archive import make_user

    for name, role in (("pacs-home", "integrator"), ("doctor", "clinician")):
        user = make_user(name, role, ward.home, is_system=True)
        ward.token = create_token(actor="test", user=user)
        assert ward.ask().status_code == 403

    away = make_user("his-away", "integrator", ward.away, is_system=True)
    launching.add_system(actor="test", institution_code="away", account=away)
    ward.token = create_token(actor="test", user=away)
    assert ward.ask().status_code == 409  # the patient is not being treated there
    assert ward.ask(patient_number="A9").status_code == 409


def test_a_token_for_reading_launches_nothing(ward: Ward) -> None:
    from common.accounts.tokens import create_token

    ward.token = create_token(actor="test", user=ward.account, scope="read")
    assert ward.ask().status_code == 403


def test_a_signed_form_opens_the_view_at_once(ward: Ward) -> None:
    client = Client(enforce_csrf_checks=True, headers={"Accept": "text/html"})

    answer = client.post("/launch/signed/", ward.form())

    assert answer.status_code == 302
    assert "P1" not in answer["Location"]
    assert client.get("/studies/away/1.2.3.2/").status_code == 200


def test_the_same_form_again_is_refused(ward: Ward) -> None:
    form = ward.form()
    assert Client().post("/launch/signed/", form).status_code == 302
    assert Client().post("/launch/signed/", form).status_code == 404
    assert Launch.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"patient_number": "P2"},
        {"clinician_number": "D8"},
        {"clinician_name": "x\ny"},
        {"purpose": "curiosity"},
        {"timestamp": "0"},
        {"timestamp": "٣"},
        {"timestamp": ""},
        {"nonce": "m" * 32},
        {"nonce": "short"},
        {"key": "unknown"},
        {"key": ""},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "签名"},
        {"patient_number": "\x00"},
    ],
)
def test_a_form_that_was_changed_is_refused(ward: Ward, change: dict[str, str]) -> None:
    answer = Client().post("/launch/signed/", {**ward.form(), **change})

    assert answer.status_code == 404
    assert not Launch.objects.exists()
    assert "launch" not in answer.cookies


@pytest.mark.parametrize("apart", [-300, 300])
def test_a_form_that_was_signed_long_ago_or_in_the_future_is_refused(
    ward: Ward, apart: int
) -> None:
    import time

    form = ward.form(timestamp=str(int(time.time()) + apart))
    assert Client().post("/launch/signed/", form).status_code == 404


@pytest.mark.parametrize(
    "change", [{"clinician_name": "李\n医师"}, {"nonce": "x" * 15}, {"nonce": "x" * 65}]
)
def test_values_that_could_be_signed_in_two_ways_are_refused(
    ward: Ward, change: dict[str, str]
) -> None:
    assert Client().post("/launch/signed/", ward.form(**change)).status_code == 404


def test_a_system_without_a_secret_signs_nothing(ward: Ward) -> None:
    form = ward.form()
    ward.system.secret = None
    ward.system.save()

    assert Client().post("/launch/signed/", form).status_code == 404


def test_only_answers_of_a_launch_may_stand_in_a_frame_of_its_system(ward: Ward) -> None:
    client = ward.launched()

    for address in ("/launch/ready/home/", "/studies/away/1.2.3.2/", "/studies/", "/viewer/"):
        answer = client.get(address)
        assert f"frame-ancestors {ORIGIN}" in answer["Content-Security-Policy"], address
        assert "X-Frame-Options" not in answer
    for address in ("/accounts/login/", "/studies/"):
        answer = Client().get(address)
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"


def test_the_cookie_may_be_sent_in_a_frame_and_read_by_no_script(ward: Ward) -> None:
    path = ward.ask().json()["url"].removeprefix("http://testserver")
    cookie = Client().get(path, headers={"Host": "localhost"}).cookies["launch"].OutputString()

    for word in ("HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"):
        assert word in cookie
    assert "; Max-Age=18" in cookie


def test_without_tls_beyond_loopback_the_cookie_is_an_ordinary_one(
    ward: Ward, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["cloud.example"]
    path = ward.ask(Client(headers={"Host": "cloud.example"})).json()["url"].split("example")[1]
    cookie = Client().get(path, headers={"Host": "cloud.example"}).cookies["launch"].OutputString()

    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_a_launch_narrows_a_log_in_of_the_same_browser_and_gives_it_back(ward: Ward) -> None:
    from tests.support.archive import make_user

    doctor = make_user("doctor", "radiologist", ward.home)
    client = ward.launched()
    client.force_login(doctor)

    assert client.get("/studies/home/1.2.3.3/").status_code == 404
    client.post("/launch/end/")
    assert client.get("/studies/home/1.2.3.3/").status_code == 200


def test_a_bearer_token_is_not_touched_by_the_cookie(ward: Ward) -> None:
    client = ward.launched()

    answer = client.get(
        "/dicom-web/studies/1.2.3.3/metadata", headers={"Authorization": "Bearer wrong"}
    )
    assert answer.status_code == 401


def test_one_account_stands_for_one_clinician_of_one_hospital(ward: Ward) -> None:
    ward.launched()
    ward.launched(clinician={"number": "D7", "name": "李主任"})
    ward.launched(clinician={"number": "工号 8/9", "name": "赵"})

    names = dict(
        User.objects.filter(username__startswith="launch:").values_list("username", "first_name")
    )
    assert names["launch:home:D7"] == "李主任"
    assert len(names) == 2
    assert all(" " not in name and "/" not in name for name in names)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://",
        "his.example",
        "https://his.example/path",
        "javascript:alert(1)",
        "https://a b",
        "https://x;y",
    ],
)
def test_what_is_no_origin_is_not_registered(ward: Ward, origin: str) -> None:
    from sharing.errors import LaunchSystemInvalid
    from tests.support.archive import make_user

    user = make_user("ris", "integrator", ward.home, is_system=True)
    with pytest.raises(LaunchSystemInvalid):
        launching.add_system(actor="test", institution_code="home", account=user, origins=(origin,))


def test_the_page_for_integrators_signs_as_we_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "integrators.md").read_text(encoding="utf-8")
    (example,) = [
        each for each in re.findall(r"```python\n(.*?)```", page, re.S) if "imaging-launch" in each
    ]
    names: dict[str, Any] = {"key": "k", "secret": "s" * 32}
    exec(example, names)
    form = names["form"]

    assert tuple(names["names"]) == NAMES
    signed = SignedForm(**{name: form[name] for name in NAMES})
    assert signed.is_whole()
    assert is_signed(signed, form["signature"], b"s" * 32)
