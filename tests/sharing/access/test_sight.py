"""Reasons beyond one's own institution: what they reach, how far, and until when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from common.errors import NotFound
from sharing import permissions, selectors
from sharing.dicomweb.query import Search
from sharing.dicomweb.searching import search_series, search_studies
from sharing.dicomweb.sight_sql import Within
from sharing.models import Encounter, LocalPatient, Series, Study
from sharing.permissions import Basis, decide, grounds, sight_of
from sharing.selectors import codes
from sharing.services import federated
from tests.support import access, archive

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@dataclass
class World:
    """A hospital where somebody works, and two others with patients that are strangers there."""

    home: Any
    far: Any
    other: Any
    user: Any
    patient: LocalPatient  # at ``far``, the same person as ``also`` at ``other``
    also: LocalPatient
    stranger: LocalPatient

    def uids(self) -> set[str]:
        """What the account finds: by the search of studies, by that of series and by the ORM, which all agree."""
        permissions.forget_sights()
        selectors.forget_places()
        within = Within.of(sight_of(self.user))
        found = {each.study_instance_uid for each in search_studies(Search(limit=99), within)[0]}
        by_day = Search(limit=99, keys={"00080020": "19000101-29991231"})
        assert {each.study_instance_uid for each in search_studies(by_day, within)[0]} == found
        series = {
            study.study_instance_uid for study, _ in search_series(Search(limit=99), within)[0]
        }
        assert series == found
        visible = selectors.visible_studies(self.user)
        assert {each.study_instance_uid for each in visible} == found
        assert {each.study_instance_uid for each in visible if decide(self.user, each)} == found
        of_series = selectors.visible_series(self.user)
        assert {each.study.study_instance_uid for each in of_series} == found
        hidden = Study.objects.exclude(study_instance_uid__in=found)
        assert not any(decide(self.user, each) for each in hidden)
        return found

    def basis(self, uid: str) -> Basis | None:
        permissions.forget_sights()
        return decide(self.user, Study.objects.get(study_instance_uid=uid)).basis


@pytest.fixture(params=["listed", "crowd"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Each rule is tried with persons that are listed in a statement, and as one of a crowd."""
    if request.param == "crowd":
        monkeypatch.setattr(grounds, "FEW", 0)
    codes.forget()
    home, far, other = (archive.make_institution(code) for code in ("home", "far", "other"))
    patient = access.make_patient(far, "F1")
    also = access.make_patient(other, "O1", person=patient.person)
    stranger = access.make_patient(far, "F2")
    own = access.make_patient(home, "H1")
    days = (date(2026, 1, day) for day in range(1, 9))
    for uid, whose, modality in (
        ("1.1", own, "CT"), ("1.2", patient, "CT"), ("1.3", patient, "MR"), ("1.4", also, "CT"),
        ("1.5", stranger, "CT"),
    ):  # fmt: skip
        study = access.make_study(whose, uid, modalities=[modality], study_date=next(days))
        Series.objects.create(study=study, series_instance_uid=f"{uid}.1", modality=modality)
    user = archive.make_user("reader", "clinician", home)
    return World(home, far, other, user, patient, also, stranger)


def test_without_a_reason_only_ones_own_is_seen(world: World) -> None:
    assert world.uids() == {"1.1"}


def test_an_open_encounter_opens_the_person_at_every_hospital_and_nobody_else(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)

    assert world.uids() == {"1.1", "1.2", "1.3", "1.4"}
    assert world.basis("1.4") is Basis.ENCOUNTER
    assert world.basis("1.5") is None


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"closed_at": timezone.now()}, id="closed"),
        pytest.param({"opened_at": timezone.now() + 5 * HOUR}, id="not begun"),
        pytest.param(
            {"opened_at": timezone.now() - 9 * HOUR, "expires_at": timezone.now() - HOUR}, id="over"
        ),
    ],
)
def test_an_encounter_that_is_not_open_opens_nothing(world: World, values: Any) -> None:
    access.open_encounter(world.home, world.patient.person, **values)

    assert world.uids() == {"1.1"}


def test_an_encounter_at_another_hospital_opens_nothing_here(world: World) -> None:
    access.open_encounter(world.other, world.patient.person)

    assert world.uids() == {"1.1"}


@pytest.mark.parametrize(
    "role", ["institution_admin", "integrator", "commission", "auditor", "operator"]
)
def test_who_does_not_treat_sees_no_patient_of_an_encounter(world: World, role: str) -> None:
    local = role in {"institution_admin", "integrator"}
    access.open_encounter(world.home, world.patient.person)
    world.user = archive.make_user("somebody", role, world.home if local else None)

    assert world.uids() == ({"1.1"} if local else set())


@pytest.mark.parametrize(
    ("narrowed", "seen"),
    [
        pytest.param({}, {"1.2", "1.3", "1.4"}, id="everything"),
        pytest.param({"modalities": ["MR"]}, {"1.3"}, id="modality"),
        pytest.param({"held_by": ["other"]}, {"1.4"}, id="institution"),
        pytest.param({"study_instance_uids": ["1.2"]}, {"1.2"}, id="study"),
        pytest.param({"since": date(2026, 1, 3)}, {"1.3", "1.4"}, id="since"),
        pytest.param({"modalities": ["CT"], "held_by": ["far"]}, {"1.2"}, id="both"),
        pytest.param({"study_instance_uids": ["1.5"]}, set(), id="somebody else's study"),
    ],
)
def test_a_consent_opens_what_its_scope_says(world: World, narrowed: Any, seen: set[str]) -> None:
    places = {"far": world.far.pk, "other": world.other.pk}
    if "held_by" in narrowed:
        narrowed = narrowed | {"held_by": [places[each] for each in narrowed["held_by"]]}
    access.give_consent(world.home, world.patient, **narrowed)

    assert world.uids() == {"1.1"} | seen
    assert {world.basis(uid) for uid in seen} <= {Basis.CONSENT}


def test_a_consent_for_one_reader_opens_nothing_to_the_next(world: World) -> None:
    colleague = archive.make_user("colleague", "radiologist", world.home)
    access.give_consent(world.home, world.patient, user=colleague)

    assert world.uids() == {"1.1"}
    world.user = colleague
    assert world.uids() == {"1.1", "1.2", "1.3", "1.4"}


@pytest.mark.parametrize(
    "values",
    [
        {"withdrawn_at": timezone.now()},
        {"given_at": timezone.now() - 2 * HOUR, "expires_at": timezone.now() - HOUR},
    ],
)
def test_a_consent_that_was_withdrawn_or_is_over_opens_nothing(world: World, values: Any) -> None:
    access.give_consent(world.home, world.patient, **values)

    assert world.uids() == {"1.1"}


def test_a_consent_follows_the_patient_who_gave_it_when_persons_are_parted(world: World) -> None:
    access.give_consent(world.home, world.also)
    parted = access.make_patient(world.far, "F3").person
    LocalPatient.objects.filter(pk=world.also.pk).update(person=parted)
    Study.objects.filter(local_patient=world.also).update(person=parted)

    assert world.uids() == {"1.1", "1.4"}


def test_emergency_access_opens_the_person_to_this_account_alone(world: World) -> None:
    colleague = archive.make_user("colleague", "radiologist", world.home)
    access.break_glass(colleague, world.home, world.patient)

    assert world.uids() == {"1.1"}
    world.user = colleague
    assert world.uids() == {"1.1", "1.2", "1.3", "1.4"}
    assert world.basis("1.2") is Basis.EMERGENCY


@pytest.mark.parametrize(
    "values",
    [
        {"ended_at": timezone.now()},
        {"started_at": timezone.now() - 5 * HOUR, "expires_at": timezone.now() - HOUR},
    ],
)
def test_emergency_access_that_ended_opens_nothing(world: World, values: Any) -> None:
    access.break_glass(world.user, world.home, world.patient, **values)

    assert world.uids() == {"1.1"}


def test_the_strongest_reason_is_the_one_that_is_noted(world: World) -> None:
    access.break_glass(world.user, world.home, world.patient)
    access.give_consent(world.home, world.patient, modalities=["CT"])
    assert world.basis("1.2") is Basis.CONSENT
    assert world.basis("1.3") is Basis.EMERGENCY

    access.open_encounter(world.home, world.patient.person)
    assert world.basis("1.2") is Basis.ENCOUNTER


def _state(place: Any, state: str) -> None:
    place.state, place.state_reason = state, "why" if state in {"suspended", "left"} else ""
    place.save()


def test_what_an_institution_that_left_holds_is_not_reached(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    access.give_consent(world.home, world.patient, study_instance_uids=["1.2"])
    _state(world.far, "left")

    assert world.uids() == {"1.1", "1.4"}


def test_what_a_suspended_institution_holds_is_reached(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    _state(world.far, "suspended")

    assert world.uids() == {"1.1", "1.2", "1.3", "1.4"}


@pytest.mark.parametrize("state", ["suspended", "left"])
def test_people_of_an_institution_that_is_suspended_or_left_see_only_its_own(
    world: World, state: str
) -> None:
    access.open_encounter(world.home, world.patient.person)
    access.give_consent(world.home, world.patient)
    access.break_glass(world.user, world.home, world.patient)
    _state(world.home, state)

    assert world.uids() == {"1.1"}


def test_a_launch_sees_one_person_and_no_more_than_the_account_does(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    world.user.launch_person_id = world.patient.person_id
    assert world.uids() == {"1.2", "1.3", "1.4"}

    world.user.launch_person_id = world.stranger.person_id
    assert world.uids() == set()

    world.user.launch_person_id = Study.objects.get(study_instance_uid="1.1").person_id
    assert world.uids() == {"1.1"}
    assert not sight_of(world.user).institution_ids
    assert not sight_of(world.user).own_operation


def test_under_the_root_of_one_institution_only_its_studies_are_found(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    sight = sight_of(world.user)

    found = {
        code: {
            each.study_instance_uid for each in search_studies(Search(), Within.of(sight, code))[0]
        }
        for code in ("home", "far", "other", "nowhere")
    }

    assert found == {"home": {"1.1"}, "far": {"1.2", "1.3"}, "other": {"1.4"}, "nowhere": set()}


def test_pages_of_both_parts_are_one_list_in_order(world: World) -> None:
    access.open_encounter(world.home, world.patient.person)
    for day in range(10, 28):
        access.make_study(world.also, f"2.{day}", study_date=date(2026, 2, day))
        own = LocalPatient.objects.get(institution=world.home, number="H1")
        access.make_study(own, f"3.{day}", study_date=date(2026, 2, day))
    access.make_study(world.also, "2.99")
    within = Within.of(sight_of(world.user))

    pages = [search_studies(Search(limit=7, offset=start), within) for start in range(0, 49, 7)]

    found = [each.study_instance_uid for page, _ in pages for each in page]
    expected = Study.objects.exclude(study_instance_uid="1.5").order_by(
        F("study_date").desc(nulls_last=True), "-id"
    )
    assert found == list(expected.values_list("study_instance_uid", flat=True))
    assert [more for _, more in pages] == [True] * 5 + [False, False]


def test_of_copies_the_primary_one_that_is_visible_answers(world: World) -> None:
    copy = access.make_study(world.stranger, "1.4", study_date=date(2026, 1, 4))
    assert copy.study_instance_uid == "1.4"
    Study.objects.filter(pk=copy.pk).update(archived_at=timezone.now())
    access.open_encounter(world.home, world.patient.person)
    permissions.forget_sights()
    within = Within.of(sight_of(world.user))

    [found] = search_studies(Search(keys={"0020000D": "1.4"}), within)[0]
    place = selectors.place_study(actor=world.user, study_instance_uid="1.4")

    assert found.institution_id == place.institution_id == world.other.pk
    assert place.basis is Basis.ENCOUNTER


@pytest.mark.parametrize("how", ["encounter", "consent", "emergency", "membership"])
def test_a_right_that_is_withdrawn_works_within_five_seconds(
    world: World, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: dict[str, Callable[[], Any]] = {
        "encounter": lambda: access.open_encounter(world.home, world.patient.person),
        "consent": lambda: access.give_consent(world.home, world.patient),
        "emergency": lambda: access.break_glass(world.user, world.home, world.patient),
        "membership": lambda: access.open_encounter(world.home, world.patient.person),
    }
    made = ways[how]()
    permissions.forget_sights()
    selectors.forget_places()
    assert selectors.place_study(actor=world.user, study_instance_uid="1.2")
    if how == "membership":
        world.user.memberships.all().delete()
    else:
        made.delete()
    clock = permissions.sights._kept._values[world.user.pk][0] + 4.9
    monkeypatch.setattr("common.kept.time.monotonic", lambda: clock)

    with pytest.raises(NotFound):
        selectors.place_study(actor=world.user, study_instance_uid="1.2")


def test_a_frame_after_the_first_asks_the_database_nothing(
    world: World, django_assert_num_queries: Any
) -> None:
    access.open_encounter(world.home, world.patient.person)
    selectors.forget_places()
    selectors.place_study(actor=world.user, study_instance_uid="1.2")

    with django_assert_num_queries(0):
        for _ in range(20):
            selectors.place_study(actor=world.user, study_instance_uid="1.2")


def test_many_encounters_are_not_read_one_by_one(db: None) -> None:
    home, far = archive.make_institution("home"), archive.make_institution("far")
    user = archive.make_user("reader", "clinician", home)
    for number in range(grounds.FEW + 1):
        access.open_encounter(home, access.make_patient(far, str(number)).person)
    study = access.make_study(LocalPatient.objects.get(institution=far, number="7"), "1.2")
    hidden = access.make_study(access.make_patient(far, "hidden"), "1.3")
    permissions.forget_sights()

    sight = sight_of(user)

    assert sight.crowd is not None
    assert not sight.persons
    assert decide(user, study).basis is Basis.ENCOUNTER
    assert sight.basis_of_person(study.person_id or 0) is Basis.ENCOUNTER
    assert not decide(user, hidden)
    assert Encounter.objects.count() == grounds.FEW + 1


def test_hospitals_that_know_a_person_are_asked_where_the_person_may_be_seen(world: World) -> None:
    """*Ask the hospitals now* reaches as far as the reason does, and no further."""
    access.open_encounter(world.home, world.patient.person)
    permissions.forget_sights()
    own = frozenset({world.home.pk})

    assert federated._asked_by(world.user, None) == own
    assert federated._asked_by(world.user, world.stranger.person_id) == own
    everywhere = own | {world.far.pk, world.other.pk}
    assert federated._asked_by(world.user, world.patient.person_id) == everywhere

    _state(world.far, "left")
    permissions.forget_sights()
    assert federated._asked_by(world.user, world.patient.person_id) == everywhere - {world.far.pk}
