"""Ways in that the log-in page does not guard, and what may be kept of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from common.accounts.models import User
from common.audit.models import RepeatedAccess
from sharing.permissions import Basis, forget_sights, sight_of
from tests.support import archive
from tests.support.pages import Province, make_province


@pytest.fixture
def province(db: None) -> Province:
    return make_province()


def test_the_administration_has_no_log_in_of_its_own(province: Province) -> None:
    """It would count no failure: any account could try the passwords of all others there."""
    User.objects.create_superuser("root", password="a long enough one 1")
    client = province.client("radiologist")

    shown = client.get("/admin/login/")
    tried = client.post("/admin/login/", {"username": "root", "password": "a long enough one 1"})

    assert shown.status_code == 403
    assert tried.status_code == 403
    assert client.session["_auth_user_id"] != str(User.objects.get(username="root").pk)


def test_staff_reach_the_administration_through_the_log_in_page(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long enough one 1"))

    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/login/")["Location"] == "/admin/"


@pytest.mark.parametrize(
    "address",
    [
        "/dicom-web/studies/1.2.3",
        "/dicom-web/studies/1.2.3/series/1.2/instances/1/frames/1",
        "/api/v1/institutions",
        "/studies/EAST/1.2/",
        "/operations/",
        "/accounts/password/",
        "/nothing",
    ],
)
def test_no_answer_may_be_kept_by_others(province: Province, address: str) -> None:
    answer = province.client("radiologist").get(address)

    assert "private" in answer["Cache-Control"]


def test_a_search_of_the_study_list_is_in_the_audit(province: Province) -> None:
    client = province.client("radiologist")

    client.post("/studies/", {"patient_name": "张"})

    noted = RepeatedAccess.objects.get(values__action="study.search")
    assert noted.values["actor_name"] == "radiologist-"
    assert "张" not in str(noted.values)


def test_people_of_an_institution_that_left_see_their_own_only(db: None) -> None:
    consortium = archive.make_consortium("tight")
    own = archive.make_institution("own", consortium=consortium)
    archive.make_institution("partner", consortium=consortium)
    user: Any = archive.make_user("somebody", "radiologist", own)
    own.state, own.state_reason = "left", "closed"
    own.save()
    forget_sights()

    sight = sight_of(user)

    assert sight.institution_ids == frozenset({own.pk})
    assert sight.basis_at(own.pk) is Basis.OWN_INSTITUTION


def _noted(**values: Any) -> RepeatedAccess:
    wanted = {f"values__{name}": value for name, value in values.items()}
    return RepeatedAccess.objects.get(**wanted)


def test_a_refusal_is_in_the_audit(province: Province) -> None:
    province.client("radiologist").get("/operations/")

    noted = _noted(action="access.refused")
    assert noted.values["result"] == "refused"
    assert noted.values["object_id"] == "sharing:operations"


@pytest.mark.parametrize("address", ["/dicom-web/studies/{}/metadata", "/studies/WEST/{}/"])
def test_asking_for_a_study_that_is_hidden_or_absent_is_in_the_audit(
    province: Province, address: str
) -> None:
    client = province.client("radiologist")

    for uid in ("1.2.826.0.1.3680043.8.498.7.3", "1.2.3.4"):  # hidden, absent
        assert client.get(address.format(uid)).status_code == 404

        noted = _noted(action="access.refused", study_instance_uid=uid)
        assert noted.values["result"] == "not-found"


@pytest.mark.parametrize(
    ("address", "route"),
    [
        ("/patients/UNKNOWNKEY234567/", "sharing:patient"),
        ("/patients/numbers/999999/unmask", "sharing:unmask"),
        ("/fhir/DiagnosticReport/999999", ""),
    ],
)
def test_trying_keys_and_numbers_of_others_is_in_the_audit(
    province: Province, address: str, route: str
) -> None:
    client = province.client("radiologist")

    answer = client.post(address) if "unmask" in address else client.get(address)

    assert answer.status_code == 404
    noted = _noted(action="access.refused")
    assert noted.values["result"] == "not-found"
    assert route in noted.values["object_id"]


def test_a_stranger_who_is_turned_away_leaves_no_entry(db: None) -> None:
    """The log has those; the audit says what known people did."""
    Client().get("/dicom-web/studies")

    assert not RepeatedAccess.objects.exists()


@pytest.mark.parametrize(
    ("address", "media_type"),
    [
        ("/api/v1/nothing", "application/problem+json"),
        ("/dicom-web/../wado/nothing", "text/plain; charset=utf-8"),
        ("/nothing", "text/html; charset=utf-8"),
    ],
)
def test_what_is_not_there_is_said_in_the_form_of_the_address(
    province: Province, address: str, media_type: str
) -> None:
    client = province.client("radiologist")

    answer = client.get(address, headers={"Accept": "*/*"})

    assert (answer.status_code, answer["Content-Type"]) == (404, media_type)


@pytest.mark.parametrize(
    ("address", "media_type"),
    [
        ("/api/v1/regions", "application/problem+json"),
        ("/dicom-web/studies", "text/plain; charset=utf-8"),
        ("/studies/", "text/html; charset=utf-8"),
    ],
)
def test_a_fault_of_ours_is_said_in_the_form_of_the_address_and_without_detail(
    province: Province, address: str, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("张三 110101199003070011")

    client = province.client("radiologist")
    client.raise_request_exception = False
    monkeypatch.setattr("hospitals.selectors.regions", broken)
    monkeypatch.setattr("sharing.dicomweb.qido.search_studies", broken)
    monkeypatch.setattr("sharing.selectors.listing.search_studies", broken)

    answer = client.get(address, headers={"Accept": "*/*"})

    assert (answer.status_code, answer["Content-Type"]) == (500, media_type)
    assert "张三" not in answer.content.decode()
