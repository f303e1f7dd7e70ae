"""The pages of the data office."""

from __future__ import annotations

import csv
import io

import pytest

from common import audit
from common.audit import sequencer
from common.audit import services as audit_services
from common.audit.models import AuditEntry
from common.privacy import lookup_hash
from sharing.models import AccessFinding, LocalPatient, Person
from sharing.selectors import audit_trail
from sharing.services import unusual
from tests.support.pages import make_province, make_study

pytestmark = pytest.mark.django_db
RESIDENT = "990101200001010014"


@pytest.fixture
def province():
    province = make_province()
    person = Person.objects.create(key="7QX2K9")
    patient = LocalPatient.objects.create(
        institution=province.east,
        number="PID-1",
        person=person,
        name="Zhang^San=张^三",
        resident_id_hash=lookup_hash(RESIDENT, purpose="sharing_localpatient.resident_id"),
    )
    province.study.person, province.study.local_patient = person, patient
    province.study.save()
    return province


@pytest.fixture
def reader(province):
    client = province.client("radiologist")
    return client, client.session["_auth_user_id"]


def user_of(client):
    from common.accounts.models import User

    return User.objects.get(pk=client.session["_auth_user_id"])


def text_of(answer):
    return answer.content.decode()


def test_only_those_who_review_come_in(province):
    addresses = ["/audit/", "/audit/patients/", "/audit/patients/7QX2K9/", "/audit/unusual/"]

    for role in ("radiologist", "clinician", "integrator", "auditor", "operator"):
        for address in addresses:
            assert province.client(role).get(address).status_code == 403, (role, address)
    for role in ("commission", "institution_admin"):
        for address in addresses:
            assert province.client(role).get(address).status_code == 200, (role, address)


def test_the_trail_is_searched_by_every_field(province):
    office = province.client("commission")
    who = user_of(province.client("radiologist"))
    audit.record(who, "study.view", province.study, basis="own-institution")
    audit.record(None, "login", result="refused")
    hits = {
        "actor": who.username, "workplace": "EAST", "institution": "EAST", "action": "study.view",
        "basis": "own-institution", "result": "success", "person": "7QX2K9",
        "study": province.study.study_instance_uid,
    }  # fmt: skip

    for field, value in hits.items():
        page = text_of(
            office.get(
                "/audit/",
                {field: value, "action": "study.view"} if field != "action" else {field: value},
            )
        )
        assert who.username in page, field
    for field in hits.keys() - {"action", "result"}:
        assert "No entry answers this search" in text_of(office.get("/audit/", {field: "NOBODY"}))
    assert office.get("/audit/", {"since": "nonsense"}).status_code == 422


def test_pages_go_on_by_key_and_no_entry_is_shown_twice_or_left_out(province):
    scope = audit_trail.Scope(province=True)
    for number in range(25):
        audit.record("planner", "object.sweep", object_id=number)
    at = AuditEntry.objects.order_by("pk")[10].at
    for number in range(5):  # entries of one instant
        AuditEntry.objects.create(at=at, actor_kind="system", action="object.sweep",
                                  object_id=f"x{number}", result="success")  # fmt: skip
    seen, after = [], ""
    while True:
        page = audit_trail.search_trail(
            scope=scope, wanted=audit_trail.TrailSearch(action="object.sweep"), after=after, size=4
        )
        seen += [each.pk for each in page.entries]
        audit.record("planner", "object.sweep", object_id="late")
        after = page.following
        if not after:
            break

    assert len(seen) == len(set(seen)) == 30


@pytest.mark.parametrize("after", ["nonsense", "1-", "99999999999999999999-1", "1-1;"])
def test_a_place_that_is_none_is_not_found(province, after):
    assert province.client("commission").get("/audit/", {"after": after}).status_code == 404


def test_an_administrator_reads_of_the_own_people_and_of_the_own_examinations(province):
    east, west = (
        province.client("radiologist", institution=place)
        for place in (province.east, province.west)
    )
    own = audit.record(user_of(east), "study.search")
    theirs_of_ours = audit.record(user_of(west), "study.view", province.study, basis="encounter")
    theirs = audit.record(user_of(west), "study.search")
    admin = province.client("institution_admin")

    found = [
        admin.get(f"/audit/entries/{each.pk}/").status_code
        for each in (own, theirs_of_ours, theirs)
    ]
    listed = text_of(admin.get("/audit/"))

    assert found == [200, 200, 404]
    assert [f"/audit/entries/{each.pk}/" in listed for each in (own, theirs_of_ours, theirs)] == [
        True,
        True,
        False,
    ]


def test_the_export_is_a_table_is_audited_and_holds_no_formula(province):
    office = province.client("commission")
    audit.record("=cmd()", "object.sweep")

    answer = office.post("/audit/export.csv", {"action": "object.sweep"})

    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert len(rows) == 2
    assert rows[1][2] == "'=cmd()"
    assert AuditEntry.objects.get(action="audit.export").detail["by"] == ["since", "action"]


def test_reading_the_trail_is_written_down_without_what_was_sought(province, monkeypatch):
    monkeypatch.setattr(audit_services, "counts", audit_services._Counts())
    office = province.client("commission")

    office.get("/audit/", {"actor": "zhang.san"})
    office.post("/audit/patients/", {"resident_id": RESIDENT})
    sequencer.write_repeated(now=audit_services.timezone.now() + sequencer._PAUSE)

    entries = AuditEntry.objects.filter(action__startswith="audit.")
    assert sorted(entries.values_list("action", flat=True)) == ["audit.patient", "audit.search"]
    written = str(list(entries.values()))
    assert "zhang.san" not in written
    assert RESIDENT not in written
    assert entries.get(action="audit.patient").detail["by"] == ["resident_id"]


def test_a_patient_is_found_by_identity_and_shown_masked(province):
    page = text_of(
        province.client("commission").post("/audit/patients/", {"resident_id": RESIDENT})
    )

    assert "/audit/patients/7QX2K9/" in page
    assert "张*" in page
    assert "张三" not in page


@pytest.mark.parametrize(
    ("given", "status"), [({}, 422), ({"resident_id": "990101200001010015"}, 422)]
)
def test_an_identity_that_is_none_is_refused_in_words(province, given, status):
    answer = province.client("commission").post("/audit/patients/", given)

    assert answer.status_code == status
    assert 'role="alert"' in text_of(answer)


def test_who_looked_at_a_patient_follows_its_studies_and_its_former_keys(province):
    other = Person.objects.create(key="OTHER1")
    who = user_of(province.client("radiologist"))
    before_persons = AuditEntry.objects.create(
        at="2026-01-05T00:00Z", actor_kind="user", actor_id=who.pk, actor_name=who.username,
        action="study.view", institution_id=province.east.pk, result="success",
        study_instance_uid=province.study.study_instance_uid)  # fmt: skip
    of_key = audit.record(who, "patient.view", object_type="sharing.person", person_key="7QX2K9")
    strange = audit.record(who, "patient.view", object_type="sharing.person", person_key="OTHER1")
    moved = make_study(province.east, 9, name="Zhang^San=张^三")
    moved.person = other
    moved.save()
    wrongly = audit.record(who, "study.view", moved, person_key="7QX2K9")  # linked otherwise since
    scope = audit_trail.Scope(province=True)

    def looks(person):
        return {each.pk for each in audit_trail.looks_at(scope=scope, person=person).entries}

    assert looks(province.study.person) == {before_persons.pk, of_key.pk}
    assert looks(other) == {strange.pk, wrongly.pk}


def test_the_sheet_for_the_patient_names_who_and_why(province):
    who = user_of(province.client("radiologist"))
    audit.record(who, "study.view", province.study, basis="own-institution")

    page = text_of(province.client("commission").get("/audit/patients/7QX2K9/print/"))

    assert who.username in page
    assert "own hospital" in page


def test_an_administrator_finds_patients_of_the_own_institution_alone(province):
    elsewhere = province.client("institution_admin", institution=province.west)

    assert "7QX2K9" not in text_of(elsewhere.post("/audit/patients/", {"resident_id": RESIDENT}))
    assert elsewhere.get("/audit/patients/7QX2K9/").status_code == 404


def test_a_finding_is_reviewed_on_its_page(province):
    office = province.client("commission")
    LocalPatient.objects.update(is_staff=True)
    audit.record(user_of(province.client("radiologist")), "study.view", province.study)
    sequencer.chain_all()
    unusual.find_unusual()
    found = AccessFinding.objects.get()
    address = f"/audit/unusual/{found.pk}/"

    assert address in text_of(office.get("/audit/unusual/"))
    assert "1" in text_of(office.get("/"))
    assert office.post(address, {"note": "x"}).status_code == 200
    assert AccessFinding.objects.get().state == "open"
    assert office.post(address, {"note": "核实", "verdict": "justified"}).status_code == 302

    assert AccessFinding.objects.get().state == "justified"
    assert address in text_of(office.get("/audit/unusual/", {"state": "all"}))
    assert address not in text_of(office.get("/audit/unusual/"))


def test_the_page_says_whether_the_chain_is_whole(province, settings, tmp_path):
    from common.audit import checking

    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    audit.record("planner", "object.sweep")
    checking.check()
    office = province.client("commission")
    assert "Whole" in text_of(office.get("/audit/"))
