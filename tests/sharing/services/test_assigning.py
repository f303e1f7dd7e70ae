"""Each study names its local patient and person, wherever it is written."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sharing.models import LocalPatient, Person, Study
from sharing.services import assigning, indexing, revisions
from tests.support.archive import make_indexed_study, make_institution
from tests.support.patients import registered

pytestmark = pytest.mark.django_db
UID = "1.2.826.0.1.3680043.8.498.77"


def row(
    uid: str,
    *,
    number: str = "7",
    issuer: str = "",
    name: str = "Zhang^San",
    born: str = "19800506",
) -> dict[str, Any]:
    found = {
        "0020000D": {"vr": "UI", "Value": [uid]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00100030": {"vr": "DA", "Value": [born]},
        "00100040": {"vr": "CS", "Value": ["M"]},
    }
    if number:
        found["00100020"] = {"vr": "LO", "Value": [number]}
    if issuer:
        found["00100021"] = {"vr": "LO", "Value": [issuer]}
    return found


@pytest.fixture
def hospital() -> Any:
    return make_institution("H1")


def test_studies_of_one_number_are_one_patients_and_one_persons(hospital):
    rows = [row(f"{UID}.1"), row(f"{UID}.2"), row(f"{UID}.3", number="8")]

    assert indexing.add_index_rows(institution_id=hospital.pk, rows=rows) == 3

    first, second, third = Study.objects.order_by("study_instance_uid")
    assert first.local_patient_id == second.local_patient_id
    assert first.person_id == second.person_id == first.local_patient.person_id
    assert third.person_id != first.person_id
    assert first.local_patient.name == "Zhang^San"
    assert "zhangsan" in first.local_patient.name_grams


def test_the_same_number_of_another_hospital_or_issuer_is_another_patient(hospital):
    other = make_institution("H2")
    studies = [
        indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1")),
        indexing.write_index_row(
            institution_id=hospital.pk, row=row(f"{UID}.2", issuer="EMERGENCY")
        ),
        indexing.write_index_row(institution_id=other.pk, row=row(f"{UID}.3")),
    ]

    assert len({each.person_id for each in studies}) == 3


def test_a_study_without_a_number_is_a_patient_of_its_own(hospital):
    rows = [row(f"{UID}.1", number=""), row(f"{UID}.2", number="")]

    indexing.add_index_rows(institution_id=hospital.pk, rows=rows)

    assert LocalPatient.objects.filter(number="").count() == 2
    assert set(LocalPatient.objects.values_list("alone", flat=True)) == {f"{UID}.1", f"{UID}.2"}


def test_a_corrected_number_moves_the_study_and_no_other(hospital):
    indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1"))
    other = indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.2"))

    moved = indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1", number="9"))

    moved.refresh_from_db()
    assert moved.local_patient.number == "9"
    assert moved.person_id == moved.local_patient.person_id != other.person_id


def test_what_the_files_say_assigns_anew(hospital):
    study = indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1"))
    series = study.series.create(series_instance_uid=f"{UID}.1.1")

    said = row(f"{UID}.1", number="10", name="Zhang^San=张^三")
    revisions.refresh_study(study_id=study.pk, series=series, first=said)

    study.refresh_from_db()
    assert (study.local_patient.number, study.local_patient.name) == ("10", "Zhang^San=张^三")


def test_a_patients_name_follows_the_study_that_it_came_from(hospital):
    study = indexing.write_index_row(
        institution_id=hospital.pk, row=row(f"{UID}.1", name="Zhang^Sna")
    )

    indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1", name="Zhang^San"))

    assert LocalPatient.objects.get(pk=study.local_patient_id).name == "Zhang^San"


def test_what_was_registered_is_not_overwritten_by_a_study(hospital):
    patient = registered(hospital, "7", name="=张^三", birth_date=date(1980, 5, 6))

    study = indexing.write_index_row(
        institution_id=hospital.pk, row=row(f"{UID}.1", name="ZHANG^SAN", born="19800605")
    )

    patient.refresh_from_db()
    assert study.local_patient_id == patient.pk
    assert (patient.name, patient.birth_date) == ("=张^三", date(1980, 5, 6))


def test_listed_again_nothing_is_asked_about_the_patient(hospital, django_assert_num_queries):
    indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1"))

    with django_assert_num_queries(5):  # savepoint, deletion, study, update, release
        indexing.write_index_row(institution_id=hospital.pk, row=row(f"{UID}.1"))


def test_rows_of_an_older_release_are_filled_in_and_it_goes_on_where_it_stopped(hospital):
    for n in range(7):
        make_indexed_study(hospital, f"{UID}.{n}", patient_id=str(n % 3), patient_name="Li^Si")
    Study.objects.update(local_patient=None, person=None)
    once = iter([True, False])  # before the first batch, and after it

    first = assigning.backfill(batch=3, within=lambda: next(once))
    rest = assigning.backfill(batch=3)

    assert (first, rest) == (3, 4)
    assert not Study.objects.filter(local_patient=None).exists()
    assert LocalPatient.objects.count() == 3
    assert assigning.backfill(batch=3) == 0


def test_keys_of_persons_say_nothing(hospital):
    rows = [row(f"{UID}.{n}", number=str(n)) for n in range(20)]
    indexing.add_index_rows(institution_id=hospital.pk, rows=rows)

    keys = set(Person.objects.values_list("key", flat=True))

    assert len(keys) == 20
    assert all(len(key) == 16 and key.isalnum() and key.isupper() for key in keys)
