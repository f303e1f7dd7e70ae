"""Every address of the map as somebody of the wrong institution: nothing of another hospital's patient comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from common.accounts.tokens import remembered
from sharing import permissions, selectors
from sharing.models import Encounter, FilmSlip, LocalPatient, Study
from sharing.selectors import codes
from sharing.services import film
from tests.support import access, archive
from tests.support.pages import make_study

pytestmark = pytest.mark.django_db
NAME, NUMBER = "Geheim^Ru=秘^如", "PID-GEHEIM"
VISIT, ACCESSION = "V-GEHEIM", "ACC-GEHEIM"
SECRETS = ("Geheim", "秘如", "秘^如", NUMBER, VISIT, ACCESSION)
# Ways out and in, which end the session that walks: in a fresh database its own is the first one.
LEFT_OUT = ("/accounts/logout", "/accounts/sessions/1/end", "/admin/")


@dataclass
class World:
    near: Any
    far: Any
    study: Study
    patient: LocalPatient
    encounter: Encounter
    slip: FilmSlip

    def sample(self, name: str, kind: str) -> str:
        """What stands in an address for this part of it: always something of the other hospital."""
        known = {
            "code": "far", "institution_code": "far", "study_uid": self.study.study_instance_uid,
            "series_uid": self.study.series.get().series_instance_uid, "key": self.patient.person.key,
            "patient_id": str(self.patient.pk), "encounter_id": str(self.encounter.pk),
        }  # fmt: skip
        fallback = {"int": "1", "slug": "x", "uuid": "00000000-0000-4000-8000-000000000000"}
        return known.get(name, fallback.get(kind, "1"))


@pytest.fixture
def world(db: None) -> World:
    permissions.forget_sights()
    selectors.forget_places()
    codes.forget()
    remembered.clear()
    near, far = archive.make_institution("near"), archive.make_institution("far")
    patient = access.make_patient(far, NUMBER)
    patient.name, patient.birth_date = NAME, date(1980, 1, 2)
    patient.save()
    study = make_study(far, 1, name=NAME)
    Study.objects.filter(pk=study.pk).update(
        patient_id=NUMBER, accession_number=ACCESSION, local_patient=patient, person=patient.person
    )
    study.refresh_from_db()
    encounter = access.open_encounter(far, patient.person, visit_number=VISIT)
    access.give_consent(far, patient)
    there = archive.make_user("there", "clinician", far)
    access.break_glass(there, far, patient)
    slip, _code = film.issue_slip(actor="test", studies=[study], kind="qr", second_factor="0014")
    return World(near, far, study, patient, encounter, slip)


def _addresses(
    world: World, patterns: list[URLPattern | URLResolver], prefix: str = "/"
) -> Iterator[str]:
    for entry in patterns:
        text = str(entry.pattern)
        for name, converter in entry.pattern.converters.items():
            kind = (
                type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
            )
            for spelling in (f"<{kind}:{name}>", f"<{name}>"):
                text = text.replace(spelling, world.sample(name, kind))
        if isinstance(entry, URLResolver):
            yield from _addresses(world, entry.url_patterns, prefix + text)
        else:
            yield prefix + text


@pytest.mark.parametrize(
    "role", ["radiologist", "clinician", "institution_admin", "integrator", ""]
)
def test_somebody_of_the_wrong_institution_learns_nothing_anywhere(
    world: World, role: str, client: Client
) -> None:
    client.force_login(archive.make_user("wrong", role, world.near if role else None))
    client.raise_request_exception = False
    walked = 0

    for address in _addresses(world, get_resolver().url_patterns):
        if any(letter in address for letter in "^(\\<") or address.startswith(LEFT_OUT):
            continue
        for method in ("get", "post"):
            answer = getattr(client, method)(address)
            walked += 1
            assert answer.status_code < 500 or answer.status_code == 503, (method, address)
            body = b"" if answer.streaming else answer.content
            said = [each for each in SECRETS if each in body.decode("utf-8", "replace")]
            assert said == [], (method, address)
            if world.study.study_instance_uid in address and method == "get":
                assert answer.status_code in {302, 400, 403, 404, 405, 406}, address

    assert walked > 150
    assert "_auth_user_id" in client.session, "it walked as nobody"
    study = Study.objects.get(pk=world.study.pk)
    assert (study.state, study.patient_id) == ("archived", NUMBER)
    assert Encounter.objects.get().closed_at is None
    assert FilmSlip.objects.get().revoked_at is None
