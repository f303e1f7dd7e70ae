"""Role × basis × resource, over HTTP: every way to a study opens by the same decision, and none but it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from common.accounts.tokens import remembered
from sharing import permissions, selectors
from sharing.models import Consultation, ConsultationStudy, LocalPatient, Study
from sharing.permissions import Basis, decide
from sharing.selectors import codes
from tests.support import access, archive, dicom_files

SMALL = dicom_files.row("pydicom/test_files/ct_small.dcm").path if dicom_files.rows() else Path()
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not dicom_files.rows(), reason="the DICOM collection is not here"),
]
NAME, NUMBER, ACCESSION = "Geheim^Ru=秘^如", "PID-GEHEIM", "ACC-GEHEIM"
SECRETS = ("Geheim", "秘如", "秘^如", NUMBER, ACCESSION)  # masked, the first sign of a name stands

LOCAL = ("institution_admin", "radiologist", "clinician", "integrator")
ROLES = (*LOCAL, "commission", "auditor", "operator", "nobody", "stranger")
TREATING = {"radiologist", "clinician"}
# Who sees a study on which basis. Whatever is not here is seen by nobody.
SEEN_BY: dict[Basis | str, set[str]] = {
    Basis.OWN_INSTITUTION: set(LOCAL),
    Basis.CONSORTIUM_AGREEMENT: TREATING | {"integrator"},
    Basis.ENCOUNTER: TREATING,
    Basis.CONSENT: TREATING,
    Basis.CONSULTATION: TREATING,
    Basis.EMERGENCY: TREATING,
    "none": set(),
    "encounter closed": set(),
    "consent withdrawn": set(),
    "consent to something else": set(),
    "emergency ended": set(),
    "consultation over": set(),
    "own institution suspended": set(),
    "holder left": set(),
}


@dataclass
class World:
    home: Any
    far: Any
    study: Study
    series: str
    instance: str
    patient: LocalPatient
    user: Any

    @property
    def uid(self) -> str:
        return self.study.study_instance_uid


@pytest.fixture
def world(db: None, settings: Any, tmp_path: Path) -> Iterator[World]:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    _forget()
    home, far = archive.make_institution("home"), archive.make_institution("far")
    [stored] = archive.archive_files(far, [SMALL], tmp_path=tmp_path)
    patient = access.make_patient(far, NUMBER)
    Study.objects.filter(pk=stored.study.pk).update(
        patient_name=NAME, patient_id=NUMBER, accession_number=ACCESSION, modalities=["CT"],
        local_patient=patient, person=patient.person, study_date="2026-01-05",
    )  # fmt: skip
    study = Study.objects.get(pk=stored.study.pk)
    header = stored.header
    yield World(
        home, far, study, header.series_instance_uid, header.sop_instance_uid, patient, None
    )
    _forget()


def _forget() -> None:
    permissions.forget_sights()
    selectors.forget_places()
    codes.forget()
    remembered.clear()


def _account(world: World, role: str, basis: Any) -> Any:
    if role == "stranger":
        return None
    at = world.far if basis is Basis.OWN_INSTITUTION else world.home
    role_held = "" if role == "nobody" else role
    return archive.make_user(f"the-{role}", role_held, at if role in LOCAL else None)


def _state(place: Any, state: str) -> None:
    place.state, place.state_reason = state, "why"
    place.save()


def _consult(world: World, **values: Any) -> None:
    asking = archive.make_user("asking", "radiologist", world.far)
    now = timezone.now()
    given = {"expires_at": now + timedelta(days=1), "opens_at": now - timedelta(days=2)}
    consultation = Consultation.objects.create(
        asking_institution=world.far, asked_by=asking, asked_institution=world.home,
        asked_user=world.user or asking, question="?", **given | values,
    )  # fmt: skip
    ConsultationStudy.objects.create(
        consultation=consultation, study=world.study, institution=world.far,
        study_instance_uid=world.uid, attached_by=asking, basis="own-institution",
    )  # fmt: skip


def _consortium(world: World) -> None:
    tight = archive.make_consortium("tight")
    for place in (world.home, world.far):
        place.consortium = tight
        place.save()


def _break_glass(world: World, **values: Any) -> None:
    who = world.user or archive.make_user("somebody-else", "clinician", world.home)
    access.break_glass(who, world.home, world.patient, **values)


def _suspended(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    _consortium(world)
    _state(world.home, "suspended")


def _left(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    _break_glass(world)
    _consult(world)
    access.give_consent(world.home, world.patient, study_instance_uids=[world.uid])
    _state(world.far, "left")


NOW = timezone.now
GROUNDS: dict[Basis | str, Callable[[World], Any]] = {
    Basis.OWN_INSTITUTION: lambda world: None,
    Basis.CONSORTIUM_AGREEMENT: _consortium,
    Basis.ENCOUNTER: lambda world: access.open_encounter(world.home, world.patient.person),
    Basis.CONSENT: lambda world: access.give_consent(
        world.home, world.patient, study_instance_uids=[world.uid]
    ),
    Basis.CONSULTATION: _consult,
    Basis.EMERGENCY: _break_glass,
    "none": lambda world: None,
    "encounter closed": lambda world: access.open_encounter(
        world.home, world.patient.person, closed_at=NOW()
    ),
    "consent withdrawn": lambda world: access.give_consent(
        world.home, world.patient, withdrawn_at=NOW()
    ),
    "consent to something else": lambda world: access.give_consent(
        world.home, world.patient, modalities=["MR"]
    ),
    "emergency ended": lambda world: _break_glass(world, ended_at=NOW()),
    "consultation over": lambda world: _consult(world, expires_at=NOW() - timedelta(hours=1)),
    "own institution suspended": _suspended,
    "holder left": _left,
}


def test_every_basis_of_a_person_is_in_the_matrix() -> None:
    assert {each for each in GROUNDS if isinstance(each, Basis)} == set(Basis) - {Basis.FILM_SLIP}
    assert set(SEEN_BY) == set(GROUNDS)


@dataclass(frozen=True)
class Way:
    """A way to a study: its address, and what may be read of the answer about whether it opened."""

    address: str
    accept: str = "*/*"
    post: dict[str, str] | None = None
    # A list answers everybody who is known; then it has the study, or not.
    lists: bool = False
    # The page shows the operation a study without its patient.
    masked: bool = False
    # A file of names is for people, no system takes it.
    people_only: bool = False


def ways(world: World) -> list[Way]:
    uid = world.uid
    study = f"studies/{uid}"
    series = f"{study}/series/{world.series}"
    one = f"{series}/instances/{world.instance}"
    wado = (
        f"/wado?requestType=WADO&studyUID={uid}&seriesUID={world.series}&objectUID={world.instance}"
    )
    portal = f"/studies/far/{uid}/"
    found = [
        Way(f"{root}/{path}", accept)
        for root in ("/dicom-web", "/dicom-web/at/far")
        for path, accept in (
            (study, 'multipart/related; type="application/dicom"'),
            (series, 'multipart/related; type="application/dicom"'),
            (one, 'multipart/related; type="application/dicom"'),
            (f"{one}/frames/1", 'multipart/related; type="application/octet-stream"'),
            (f"{study}/metadata", "application/dicom+json"),
            (f"{one}/metadata", "application/dicom+json"),
            (f"{one}/rendered", "image/jpeg"),
            (f"{series}/thumbnail", "image/jpeg"),
            (f"{study}/series", "application/dicom+json"),
            (f"{series}/instances", "application/dicom+json"),
        )
    ]
    searches = [
        f"/dicom-web/studies?StudyInstanceUID={uid}",
        "/dicom-web/studies?StudyDate=20260105",
        f"/dicom-web/studies?AccessionNumber={ACCESSION}",
        f"/dicom-web/at/far/studies?PatientID={NUMBER}",
        f"/dicom-web/series?StudyInstanceUID={uid}",
        f"/dicom-web/instances?StudyInstanceUID={uid}",
        f"/fhir/ImagingStudy?identifier=urn:dicom:uid|urn:oid:{uid}",
    ]
    return [
        *found,
        *(Way(each, lists=True) for each in searches),
        Way(f"{wado}&contentType=application/dicom"),
        Way(f"{wado}&contentType=image/jpeg"),
        Way(f"/fhir/ImagingStudy/{world.study.pk}", "application/fhir+json"),
        Way(f"/api/v1/studies/far/{uid}/retrieval", "application/json"),
        Way(portal, "text/html", masked=True),
        Way(f"{portal}open/", "text/html"),
        Way(f"{portal}view/{world.series}/", "text/html"),
        Way(f"{portal}view/{world.series}/slices.json"),
        Way(f"{portal}priors/", "text/html"),
        Way("/studies/", "text/html", {"patient_id": NUMBER}, lists=True),
        Way(
            "/studies/export.csv",
            "*/*",
            {"study_instance_uid": uid},
            lists=True,
            masked=True,
            people_only=True,
        ),
    ]


def _ask(client: Client, way: Way) -> Any:
    if way.post is not None:
        return client.post(way.address, way.post, headers={"Accept": way.accept})
    return client.get(way.address, headers={"Accept": way.accept})


def _body(answer: Any) -> str:
    data = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return data.decode("utf-8", "replace")


def _opened(way: Way, answer: Any, world: World) -> bool:
    """Whether the answer has the study with its patient; a refusal, an empty list and a masked page have not."""
    body = _body(answer)
    if not way.lists:
        opened = answer.status_code in {200, 302} and "login" not in answer.get("Location", "")
        return opened and (not way.masked or "秘如" in body)
    known = answer.status_code == 200 and world.uid in body
    return known and (not way.masked or "秘如" in body)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("basis", list(GROUNDS), ids=str)
def test_every_way_to_a_study_opens_by_the_same_decision(
    world: World, role: str, basis: Any, client: Client
) -> None:
    world.user = _account(world, role, basis)
    GROUNDS[basis](world)
    _forget()
    if world.user is not None:
        client.force_login(world.user)
    expected = role in SEEN_BY[basis]

    found = []
    for way in ways(world):
        answer = _ask(client, way)
        opens = expected and not (way.people_only and role == "integrator")
        found.append((way.address, _opened(way, answer, world), opens))
        if not expected:
            assert _said(answer, way) == [], way.address

    wrong = [address for address, opened, opens in found if opened is not opens]
    assert wrong == []
    if world.user is not None:
        decided = decide(world.user, world.study).basis
        assert decided == (basis if expected else None)


def _said(answer: Any, way: Way) -> list[str]:
    """What the answer betrays; a search says its own question back."""
    body = "" if answer.streaming else answer.content.decode("utf-8", "replace")
    asked = [*(way.post or {}).values(), way.address]
    return [each for each in SECRETS if each in body and not any(each in one for one in asked)]


@pytest.mark.parametrize("role", ["radiologist", "clinician"])
def test_a_launch_opens_one_patient_by_every_way_and_no_other(
    world: World, role: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.user = archive.make_user("launched", role, world.far)
    client.force_login(world.user)
    for person, expected in ((world.patient.person_id, True), (world.patient.person_id + 1, False)):
        monkeypatch.setattr(type(world.user), "launch_person_id", person, raising=False)
        _forget()
        found = [(way.address, _opened(way, _ask(client, way), world)) for way in ways(world)]
        # Not every page is part of a launch; what is not opens nothing.
        opened = [address for address, each in found if each]
        assert bool(opened) is expected, opened
        if expected:
            assert all(each for address, each in found if address.startswith("/dicom-web"))


def test_absent_and_hidden_look_the_same(world: World, client: Client) -> None:
    client.force_login(archive.make_user("reader", "clinician", world.home))
    absent = "1.2.826.0.1.3680043.8.498.404"

    for way in ways(world):
        if way.lists or way.masked:
            continue
        hidden = _ask(client, way)
        address = way.address.replace(world.uid, absent).replace(
            f"ImagingStudy/{world.study.pk}", "ImagingStudy/999999"
        )
        missing = _ask(client, Way(address, way.accept, way.post))
        assert hidden.status_code == missing.status_code == 404, way.address
        same = _body(missing).replace(absent, world.uid).replace("999999", str(world.study.pk))
        assert _without_ids(_body(hidden)) == _without_ids(same), way.address


def _without_ids(body: str) -> str:
    import re

    return re.sub(r"[0-9a-f]{32}|nonce=\"[^\"]*\"|value=\"[A-Za-z0-9]{64}\"", "", body)
