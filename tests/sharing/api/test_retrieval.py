"""Fetching and asking through the interface for programs."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from common.accounts.tokens import create_token
from sharing import permissions, selectors
from sharing.services import federated
from tests.support.archive import make_user
from tests.support.installation import wait_until
from tests.support.pulling import STUDY, Hospital, discover, instance, settle

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = f"/api/v1/studies/H1/{STUDY}/retrieval"
SEARCH = "/api/v1/federated-searches"


@pytest.fixture
def api(hospital: Hospital, settings: Any) -> Any:
    """A radiologist's program at the hospital, which lists two series of a study."""
    settings.ON_DEMAND_WAIT_S = settings.FEDERATED_DEADLINE_S = 2
    permissions.forget_sights()
    selectors.forget_places()
    federated._recent.clear()
    for series in (1, 2):
        hospital.origin.add(instance(1, series=f"{STUDY}.{series}", PatientID="P1"))
    reader = make_user("reader", "radiologist", hospital.institution)
    yield Client(headers={"Authorization": f"Bearer {create_token(actor='test', user=reader)}"})
    hospital.origin.released.set()
    settle()


def test_a_study_is_fetched_and_followed_to_its_end(hospital, api):
    discover(hospital.id, index_only=True)
    before = api.get(ADDRESS).json()

    begun = api.post(ADDRESS)
    wait_until("it is here", lambda: api.get(ADDRESS).json()["complete"], timeout_s=10)
    after = api.get(ADDRESS).json()

    assert (before["stage"], before["complete"], before["expected"]) == ("listed", False, 2)
    assert begun.status_code == 202
    assert (after["stage"], after["instances"], after["expected"]) == ("held", 2, 2)
    assert [each["stage"] for each in after["series"]] == ["held", "held"]


def test_a_hospital_that_is_away_is_told_with_when_to_ask_again(hospital, api):
    discover(hospital.id, index_only=True)
    hospital.origin.manners.status = 503

    refused = api.post(ADDRESS)

    assert refused.status_code == 503
    assert refused.json()["code"] == "hospital-away"
    assert int(refused["Retry-After"]) > 0


@pytest.mark.parametrize(
    "address", [f"/api/v1/studies/H9/{STUDY}/retrieval", "/api/v1/studies/H1/x/retrieval"]
)
def test_what_may_not_be_seen_is_not_found(hospital, api, address):
    assert api.get(address).status_code == 404
    assert api.post(address).status_code == 404


def test_a_search_asks_the_hospitals_and_says_who_answered(hospital, api):
    answer = api.post(SEARCH, {"patient_id": "P1"}, content_type="application/json").json()

    assert answer["count"] == 1
    assert answer["results"][0]["study_instance_uid"] == STUDY
    assert answer["results"][0]["state"] == "indexed"
    assert answer["coverage"]["complete"] is True
    assert answer["coverage"]["hospitals"][0]["outcome"] == "answered"
    again = api.get(f"{SEARCH}/{answer['coverage']['id']}")
    assert again.json()["hospitals"] == answer["coverage"]["hospitals"]


def test_a_search_that_everything_answers_is_refused(hospital, api):
    refused = api.post(SEARCH, {"modality": "CT"}, content_type="application/json")

    assert refused.status_code == 400
    assert refused.json()["code"] == "question-unbounded"
    assert hospital.origin.requests == []


def test_a_coverage_of_nobody_is_not_found(api):
    assert api.get(f"{SEARCH}/nothing").status_code == 404
