"""ADT messages register patients and open and close their encounters."""

from __future__ import annotations

import pytest
from django.utils import timezone

from common.privacy import decrypt_text
from sharing.models import Encounter, LinkEvent, LocalPatient
from tests.sharing.hl7.conftest import RESIDENT_ID, Hospital

NOW = timezone.localtime().strftime("%Y%m%d%H%M%S")
PID = (
    f"PID|1||P77^^^HIS^MR~C-9^^^^HC||张^三^^^^^L^I~Zhang^San^^^^^L^A||20000101|M|||||"
    f"13800001234|||||V9|{RESIDENT_ID}"
)
PV1 = f"PV1|1|O|放射科^1^2||||D7^李^四{'|' * 12}V1{'|' * 25}{NOW}"
EVN = f"EVN||{NOW}"


def test_a_registration_makes_the_patient_and_opens_the_visit(hospital: Hospital) -> None:
    sent = hospital.send("ADT^A04^ADT_A01", EVN, PID, PV1)

    assert sent.code == "AA"
    patient = LocalPatient.objects.get()
    assert (patient.institution_id, patient.number) == (hospital.institution.pk, "P77")
    assert patient.name == "Zhang^San=张^三"
    assert (str(patient.birth_date), patient.sex) == ("2000-01-01", "M")
    stored = decrypt_text(patient.resident_id, context="sharing_localpatient.resident_id")
    assert stored == RESIDENT_ID
    visit = Encounter.objects.get()
    assert (visit.patient, visit.visit_number, visit.kind) == (patient, "V1", "outpatient")
    assert (visit.department, visit.attending) == ("放射科", "李四")
    assert visit.closed_at is None
    assert visit.registered_by == hospital.account


@pytest.mark.parametrize(
    ("code", "kind"),
    [("I", "inpatient"), ("E", "emergency"), ("O", "outpatient"), ("", "outpatient")],
)
def test_the_patient_class_is_the_kind_of_the_visit(
    hospital: Hospital, code: str, kind: str
) -> None:
    hospital.send("ADT^A01", EVN, PID, PV1.replace("|O|", f"|{code}|", 1))

    assert Encounter.objects.get().kind == kind


def test_a_discharge_closes_and_its_cancellation_opens_again(hospital: Hospital) -> None:
    hospital.send("ADT^A01", EVN, PID, PV1)

    hospital.send("ADT^A03", EVN, PID, PV1)
    assert Encounter.objects.get().closed_at is not None
    hospital.send("ADT^A13", EVN, PID, PV1)
    assert Encounter.objects.get().closed_at is None
    hospital.send("ADT^A11", EVN, PID, PV1)
    assert Encounter.objects.get().closed_at is not None


def test_a_late_repetition_of_the_admission_opens_nothing_that_was_closed(
    hospital: Hospital,
) -> None:
    hospital.send("ADT^A01", EVN, PID, PV1)
    hospital.send("ADT^A03", EVN, PID, PV1)

    assert hospital.send("ADT^A01", EVN, PID, PV1).code == "AA"
    assert Encounter.objects.get().closed_at is not None


def test_an_update_changes_the_patient_and_an_open_visit_and_opens_none(
    hospital: Hospital,
) -> None:
    assert hospital.send("ADT^A08", EVN, PID, PV1).row.outcome == "patient"
    assert not Encounter.objects.exists()
    hospital.send("ADT^A01", EVN, PID, PV1)
    begun = Encounter.objects.get().opened_at

    moved = PV1.replace("放射科", "外科").replace(NOW, "")
    hospital.send("ADT^A08", f"EVN||{NOW}", PID.replace("张^三", "张^山"), moved)

    assert LocalPatient.objects.get().name == "Zhang^San=张^山"
    visit = Encounter.objects.get()
    assert (visit.department, visit.opened_at) == ("外科", begun)


@pytest.mark.parametrize("event", ["A05", "A28", "A31"])
def test_a_person_without_a_visit_is_registered_and_gives_no_sight(
    hospital: Hospital, event: str
) -> None:
    assert hospital.send(f"ADT^{event}", EVN, PID, PV1).code == "AA"

    assert LocalPatient.objects.get().registered_at is not None
    assert not Encounter.objects.exists()


def test_silence_changes_nothing_and_null_deletes(hospital: Hospital) -> None:
    hospital.send("ADT^A28", EVN, PID)

    hospital.send("ADT^A31", EVN, "PID|1||P77^^^HIS^MR")
    assert LocalPatient.objects.get().resident_id is not None
    hospital.send("ADT^A31", EVN, f'PID|1||P77^^^HIS^MR{"|" * 16}""')
    assert LocalPatient.objects.get().resident_id is None


def test_a_merge_makes_two_numbers_one_person_and_keeps_both(hospital: Hospital) -> None:
    hospital.send("ADT^A28", EVN, PID)
    hospital.send("ADT^A28", EVN, "PID|1||P12^^^HIS^MR||张三||20000101|M")

    sent = hospital.send("ADT^A40", EVN, PID, "MRG|P12^^^HIS^MR")

    assert (sent.code, sent.row.outcome) == ("AA", "merged")
    one, two = LocalPatient.objects.order_by("pk")
    assert one.person_id == two.person_id
    event = LinkEvent.objects.get()
    assert (event.ground, event.actor) == ("correction", hospital.account)
    assert hospital.send("ADT^A40", EVN, PID, "MRG|P12^^^HIS^MR").row.outcome == "patient"


def test_a_merge_of_patients_that_contradict_each_other_is_refused(hospital: Hospital) -> None:
    hospital.send("ADT^A28", EVN, PID)
    hospital.send("ADT^A28", EVN, f"PID|1||P12^^^^MR||王五||19800229|F{'|' * 11}990101198002290011")

    sent = hospital.send("ADT^A40", EVN, PID, "MRG|P12^^^HIS^MR")

    assert (sent.code, sent.location) == ("AE", "MRG-1")
    assert LocalPatient.objects.values("person").distinct().count() == 2


def test_a_merge_with_a_number_that_was_never_heard_of_does_nothing(hospital: Hospital) -> None:
    assert hospital.send("ADT^A40", EVN, PID, "MRG|P99").row.outcome == "patient"


def test_a_visit_number_never_moves_to_another_patient(hospital: Hospital) -> None:
    hospital.send("ADT^A01", EVN, PID, PV1)

    sent = hospital.send("ADT^A01", EVN, "PID|1||P13||李四", PV1)

    assert (sent.code, sent.location) == ("AE", "PV1-19")
    assert Encounter.objects.get().patient.number == "P77"
    assert not LocalPatient.objects.filter(number="P13").exists()


@pytest.mark.parametrize(
    ("lines", "location"),
    [
        ((EVN, PV1), "PID"),
        ((EVN, PID), "PV1"),
        ((EVN, "PID|1||990101200001010014^^^^NI", PV1), "PID-3"),
        ((EVN, PID.replace("0014", "0015"), PV1), "PID-19"),
        ((EVN, PID.replace("|M|", "|X|"), PV1), "PID-8"),
        ((EVN, PID.replace("20000101|", "20001301|"), PV1), "PID-7"),
        ((EVN, PID, PV1.replace("|O|", "|Q|")), "PV1-2"),
        ((EVN, PID.replace("|V9|", "||"), PV1.replace("|V1|", "||")), "PV1-19"),
        ((EVN, PID, PV1.replace(NOW, "soon")), "PV1-44"),
        ((EVN, PID, PV1.replace(NOW, "19700101")), "PV1-44"),
        ((EVN, PID.replace("P77", "P" * 65), PV1), "PID-3"),
    ],
)
def test_what_is_wrong_is_named_by_its_field_and_leaves_nothing(
    hospital: Hospital, lines: tuple[str, ...], location: str
) -> None:
    sent = hospital.send("ADT^A01", *lines)

    assert (sent.code, sent.location) == ("AE", location)
    assert not LocalPatient.objects.exists()
    assert not Encounter.objects.exists()
    assert (sent.row.state, sent.row.location) == ("failed", location)
    for value in ("张", "P77", RESIDENT_ID[:-1], "13800001234"):
        assert value not in sent.row.error_text


def test_messages_in_gb18030_are_read_declared_or_by_the_senders_override(make) -> None:
    hospital = make("west", character_set="GB18030")

    hospital.send("ADT^A28", EVN, PID, charset="GB 18030-2000", codec="gb18030")
    assert LocalPatient.objects.get().name == "Zhang^San=张^三"
    hospital.send("ADT^A31", EVN, PID.replace("张^三", "张^珊"), charset="", codec="gb18030")
    assert LocalPatient.objects.get().name == "Zhang^San=张^珊"


def test_wrong_bytes_are_refused_with_the_field_they_stand_in(hospital: Hospital) -> None:
    sent = hospital.send("ADT^A28", EVN, PID, charset="UNICODE UTF-8", codec="gb18030")

    assert (sent.code, sent.location) == ("AE", "PID-5")


def test_the_same_number_at_two_hospitals_is_two_patients(make) -> None:
    east, west = make("east"), make("west")
    for each in (east, west):
        each.send("ADT^A28", EVN, "PID|1||P1||王五")

    assert LocalPatient.objects.filter(number="P1").count() == 2
    assert LocalPatient.objects.values("person").distinct().count() == 2


def test_the_resident_id_joins_the_patients_of_two_hospitals(make) -> None:
    east, west = make("east"), make("west")
    east.send("ADT^A28", EVN, PID)
    west.send("ADT^A28", EVN, PID.replace("P77", "W5"))

    assert LocalPatient.objects.values("person").distinct().count() == 1
