"""Encounters, consents, emergency access and film slips: who registers, what is refused, what it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from common.audit.models import AuditEntry
from common.errors import NotFound, NotPermitted
from common.events.models import OutboxEvent
from common.privacy import encrypt
from sharing import errors, permissions, selectors
from sharing.domain.access_terms import is_real_reason
from sharing.models import Encounter, FilmSlip, PatientNotice, Study
from sharing.permissions import Basis, SlipHolder, decide, sight_of
from sharing.selectors.identities import context_of
from sharing.services import consents, emergency, encounters, film, notices
from tests.support import access, archive

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
REASON = "昏迷送入抢救室，需要既往影像"


@dataclass
class World:
    home: Any
    far: Any
    here: Any  # the patient at ``home``
    there: Any  # the same person at ``far``
    study: Study  # at ``far``

    def user(self, role: str, place: Any = None) -> Any:
        local = role in {"radiologist", "clinician", "institution_admin", "integrator"}
        return archive.make_user(f"{role}", role, (place or self.home) if local else None)


@pytest.fixture
def world(db: None) -> World:
    permissions.forget_sights()
    selectors.forget_places()
    home, far = archive.make_institution("home"), archive.make_institution("far")
    here = access.make_patient(home, "H1")
    there = access.make_patient(far, "F1", person=here.person)
    return World(home, far, here, there, access.make_study(there, "1.2"))


def _register(world: World, actor: Any, **values: Any) -> Encounter:
    given = {
        "institution_id": world.home.pk,
        "patient": world.here,
        "visit_number": "V1",
        "kind": "outpatient",
        "opened_at": timezone.now() - HOUR,
        "source": "his",
    }
    return encounters.register_encounter(actor=actor, **given | values)


ROLES = ["commission", "auditor", "operator", ""]


@pytest.mark.parametrize("role", ["integrator", "institution_admin", "radiologist", "clinician"])
def test_an_encounter_is_registered_by_the_institution(world: World, role: str) -> None:
    encounter = _register(world, world.user(role))

    assert encounter.expires_at > timezone.now()
    assert AuditEntry.objects.get(action="encounter.register").institution_id == world.home.pk


@pytest.mark.parametrize("role", ROLES)
def test_nobody_else_registers_an_encounter(world: World, role: str) -> None:
    with pytest.raises(NotPermitted):
        _register(world, world.user(role))


@pytest.mark.parametrize("role", ["integrator", "institution_admin", "radiologist", "clinician"])
def test_nobody_registers_for_another_institution(world: World, role: str) -> None:
    with pytest.raises(NotPermitted):
        _register(world, world.user(role, world.far))


def test_a_launch_registers_nothing(world: World) -> None:
    clinician = world.user("clinician")
    clinician.launch_person_id = world.here.person_id

    with pytest.raises(NotPermitted):
        _register(world, clinician)
    with pytest.raises(NotPermitted):
        emergency.break_glass(actor=clinician, person=world.here.person, reason=REASON)


def test_registering_opens_and_closing_shuts_the_persons_examinations(world: World) -> None:
    reader = world.user("clinician")
    assert not decide(reader, world.study)

    encounter = _register(world, "his")
    assert decide(reader, world.study).basis is Basis.ENCOUNTER

    encounters.close_encounter(actor="his", encounter=encounter)
    assert not decide(reader, world.study)


def test_the_same_message_again_changes_nothing(world: World) -> None:
    at = timezone.now() - HOUR
    first = _register(world, "his", opened_at=at)
    second = _register(world, "his", opened_at=at)

    assert first.pk == second.pk
    assert AuditEntry.objects.filter(action__startswith="encounter.").count() == 1


def test_a_visit_number_is_one_patients(world: World) -> None:
    _register(world, "his")
    other = access.make_patient(world.home, "H2")

    with pytest.raises(errors.VisitNumberTaken):
        _register(world, "his", patient=other)


def test_a_closed_encounter_is_opened_again_only_where_that_is_said(world: World) -> None:
    encounters.close_encounter(actor="his", encounter=_register(world, "his"))

    assert _register(world, "his").closed_at is not None
    assert _register(world, "his", reopen=True).closed_at is None


def test_what_the_desk_registers_lasts_a_day(world: World) -> None:
    now = timezone.now()
    encounter = _register(
        world, world.user("clinician"), source="desk", expires_at=now + 90 * 24 * HOUR
    )

    assert encounter.expires_at <= now + 25 * HOUR


@pytest.mark.parametrize(
    "values",
    [
        {"visit_number": " "},
        {"visit_number": "1" * 65},
        {"kind": "visit"},
        {"opened_at": timezone.now() - timedelta(days=500)},
        {"opened_at": timezone.now() + timedelta(days=60)},
        {"expires_at": timezone.now() - 2 * HOUR},
    ],
)
def test_an_encounter_that_does_not_fit_is_refused(world: World, values: Any) -> None:
    with pytest.raises(errors.EncounterInvalid):
        _register(world, "his", **values)


def test_another_institutions_patient_has_no_encounter_here(world: World) -> None:
    with pytest.raises(errors.EncounterInvalid):
        _register(world, "his", patient=world.there)


@pytest.mark.parametrize("where", ["home", "far"])
def test_a_consent_is_noted_where_the_patient_or_the_reader_is_and_withdrawn(
    world: World, where: str
) -> None:
    desk = world.user("institution_admin", getattr(world, where))
    reader = world.user("radiologist")

    consent = consents.give_consent(
        actor=desk, patient=world.there, institution_id=world.home.pk, given="paper"
    )
    assert decide(reader, world.study).basis is Basis.CONSENT

    consents.withdraw_consent(actor=desk, consent=consent)
    assert not decide(reader, world.study)
    noted = AuditEntry.objects.filter(action__startswith="consent.").order_by("pk")
    assert [each.action for each in noted] == ["consent.give", "consent.withdraw"]


def test_nobody_else_notes_or_withdraws_a_consent(world: World) -> None:
    third = world.user("institution_admin", archive.make_institution("third"))
    consent = access.give_consent(world.home, world.there)

    with pytest.raises(NotPermitted):
        consents.give_consent(
            actor=third, patient=world.there, institution_id=world.home.pk, given="paper"
        )
    with pytest.raises(NotPermitted):
        consents.withdraw_consent(actor=third, consent=consent)


@pytest.mark.parametrize(
    "values",
    [
        {"given": "shouted"},
        {"expires_at": timezone.now() - HOUR},
        {"expires_at": timezone.now() + timedelta(days=365 * 6)},
        {"scope": consents.ConsentScope(study_instance_uids=["x"])},
        {"scope": consents.ConsentScope(modalities=["M" * 17])},
        {"scope": consents.ConsentScope(held_by=range(101))},
    ],
)
def test_a_consent_that_does_not_fit_is_refused(world: World, values: Any) -> None:
    given = {"patient": world.here, "institution_id": world.home.pk, "given": "desk"}

    with pytest.raises(errors.ConsentInvalid):
        consents.give_consent(actor="desk", **given | values)


@pytest.mark.parametrize(
    ("reason", "real"),
    [
        ("急", False),
        ("急急急急急急急急急急急急", False),
        ("aaaaaaaaaaaaaaaaa", False),
        ("          ", False),
        ("emergency", False),
        (REASON, True),
        ("Unconscious, no relatives", True),
    ],
)
def test_a_reason_is_one_that_a_reviewer_can_read(reason: str, real: bool) -> None:
    assert is_real_reason(reason) is real


def test_breaking_the_glass_opens_for_four_hours_and_tells(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    reader = world.user("clinician")
    world.there.phone = encrypt("13812345678", context=context_of("phone"))
    world.there.save()

    opened = emergency.break_glass(actor=reader, person=world.there.person, reason=REASON)

    assert opened.expires_at - opened.started_at == 4 * HOUR
    assert decide(reader, world.study).basis is Basis.EMERGENCY
    assert OutboxEvent.objects.get(type="sharing.EmergencyAccessOpened").key == str(opened.pk)
    noted = AuditEntry.objects.get(action="emergency.open")
    assert (noted.basis, noted.institution_id) == ("emergency", world.home.pk)

    notice = notices.tell_of_emergency(emergency_id=opened.pk)
    assert notices.tell_of_emergency(emergency_id=opened.pk) == notice
    assert notice.state == PatientNotice.State.SENT
    assert world.home.name in notice.text

    emergency.end_emergency(actor=reader, access=opened)
    assert not decide(reader, world.study)


def test_a_patient_without_a_phone_is_noted_as_not_told(world: World) -> None:
    reader = world.user("clinician")
    opened = emergency.break_glass(actor=reader, person=world.there.person, reason=REASON)

    assert notices.tell_of_emergency(emergency_id=opened.pk).state == "no-address"


def test_asking_twice_opens_once(world: World) -> None:
    reader = world.user("radiologist")
    first = emergency.break_glass(actor=reader, person=world.here.person, reason=REASON)
    second = emergency.break_glass(actor=reader, person=world.here.person, reason=REASON)

    assert first == second
    assert OutboxEvent.objects.count() == 1


@pytest.mark.parametrize("role", ["integrator", "institution_admin", *ROLES])
def test_who_does_not_treat_cannot_break_the_glass(world: World, role: str) -> None:
    with pytest.raises(NotPermitted):
        emergency.break_glass(actor=world.user(role), person=world.here.person, reason=REASON)


@pytest.mark.parametrize("state", ["suspended", "left"])
def test_nor_can_people_of_an_institution_that_takes_no_part(world: World, state: str) -> None:
    world.home.state, world.home.state_reason = state, "why"
    world.home.save()

    with pytest.raises(NotPermitted):
        emergency.break_glass(
            actor=world.user("clinician"), person=world.here.person, reason=REASON
        )


def test_a_short_reason_opens_nothing(world: World) -> None:
    with pytest.raises(errors.ReasonTooShort):
        emergency.break_glass(actor=world.user("clinician"), person=world.here.person, reason="急")


def test_only_who_opened_it_ends_it(world: World) -> None:
    opened = emergency.break_glass(
        actor=world.user("clinician"), person=world.here.person, reason=REASON
    )

    with pytest.raises(NotPermitted):
        emergency.end_emergency(actor=world.user("radiologist"), access=opened)


def _slip(world: World, kind: str = "qr") -> tuple[FilmSlip, str]:
    return film.issue_slip(actor="slips", studies=[world.study], kind=kind, second_factor="0014")


@pytest.mark.parametrize(("kind", "days"), [("qr", 90), ("sms", 7)])
def test_a_slip_lasts_as_long_as_its_kind_and_keeps_no_code(
    world: World, kind: str, days: int
) -> None:
    slip, code = _slip(world, kind)

    assert slip.expires_at - slip.issued_at == timedelta(days=days)
    assert len(code) >= 22  # 128 bits in 6-bit signs
    stored = FilmSlip.objects.values().get()
    assert code not in str(stored)
    assert "0014" not in str(stored["second_factor"])


def test_who_holds_a_slip_sees_its_studies_and_nothing_else(world: World) -> None:
    access.make_study(world.there, "1.3")
    _, code = _slip(world)

    holder = film.open_slip(code=code, second_factor=" 0014 ")

    assert isinstance(holder, SlipHolder)
    assert [each.study_instance_uid for each in selectors.visible_studies(holder)] == ["1.2"]
    place = selectors.place_study(actor=holder, study_instance_uid="1.2")
    assert place.basis is Basis.FILM_SLIP
    with pytest.raises(NotFound):
        selectors.place_study(actor=holder, study_instance_uid="1.3")
    assert not sight_of(holder).operation
    assert not sight_of(holder).institution_ids


def test_a_revoked_slip_or_one_that_is_over_opens_nothing(world: World) -> None:
    slip, code = _slip(world)
    holder = film.open_slip(code=code, second_factor="0014")
    film.revoke_slip(actor="slips", slip=slip)

    assert not sight_of(holder).studies
    with pytest.raises(errors.SlipRefused):
        film.open_slip(code=code, second_factor="0014")

    over, other = _slip(world)
    start = timezone.now() - timedelta(days=100)
    FilmSlip.objects.filter(pk=over.pk).update(issued_at=start, expires_at=start + 24 * HOUR)
    with pytest.raises(errors.SlipRefused):
        film.open_slip(code=other, second_factor="0014")


def test_the_fifth_wrong_try_locks_a_slip_for_a_quarter_of_an_hour(world: World) -> None:
    slip, code = _slip(world)
    for _ in range(5):
        with pytest.raises(errors.SlipRefused):
            film.open_slip(code=code, second_factor="9999")

    with pytest.raises(errors.SlipLocked):
        film.open_slip(code=code, second_factor="0014")

    FilmSlip.objects.filter(pk=slip.pk).update(locked_until=timezone.now() - HOUR)
    assert film.open_slip(code=code, second_factor="0014").slip_id == slip.pk
    assert FilmSlip.objects.get().openings == 1


def test_a_slip_is_of_one_patient_and_needs_a_second_factor(world: World) -> None:
    other = access.make_study(access.make_patient(world.far, "F2"), "1.9")
    given: dict[str, Any] = {"actor": "slips", "kind": "qr"}

    for studies, factor in (([], "0014"), ([world.study, other], "0014"), ([world.study], "1")):
        with pytest.raises(errors.SlipInvalid):
            film.issue_slip(studies=studies, second_factor=factor, **given)
