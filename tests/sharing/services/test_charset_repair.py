"""Texts that were decoded wrongly are decoded anew from the stored bytes, which never change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.archive import documents, keys
from common.dicom.charset import FORCED, decode_text
from common.errors import NotPermitted
from common.storage import object_store
from sharing.errors import CharacterSetUnusable, RepairRunning
from sharing.models import CharsetRepair, LocalPatient, Series, SeriesRevision, Study
from sharing.selectors.person_question import PersonSearch
from sharing.selectors.persons import find_persons
from sharing.services import charset_repair as repair
from sharing.services.rebuilding import rebuild_index
from sharing.services.scrubbing import scrub
from tests.support import archive, dicom_files

pytestmark = pytest.mark.django_db
DECLARED = b"\x08\x00\x05\x00CS\x08\x00GB18030 "
MUELLER = "M\u00fcller^Hans"


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> None:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture(params=["ISO_IR 100", "ISO_IR 6", ""], ids=["latin-1", "ascii", "nothing"])
def study(request: Any, store: None, tmp_path: Path) -> Study:
    """A real file in GB18030 of the collection, which declares something else."""
    data = dicom_files.row("pydicom/charset/chrx2.dcm").path.read_bytes()
    term = request.param.encode()
    term += b" " * (len(term) % 2)
    path = tmp_path / "declares-wrongly.dcm"
    assert data.count(DECLARED) == 1
    path.write_bytes(
        data.replace(DECLARED, b"\x08\x00\x05\x00CS" + len(term).to_bytes(2, "little") + term)
    )
    (stored,) = archive.archive_files(archive.make_institution("H1"), [path], tmp_path=tmp_path)
    found = stored.study
    assert "\u738b" not in found.patient_name
    return found


@pytest.fixture
def admin(study: Study) -> Any:
    return archive.make_user("admin", "institution_admin", study.institution)


def lines(study: Study) -> list[bytes]:
    current = Series.objects.select_related("current").get(study=study).current
    assert current is not None
    return documents.metadata_lines(object_store().get_bytes(keys.metadata_key(current.prefix)))


def packs() -> dict[str, bytes]:
    return {
        stat.key: object_store().get_bytes(stat.key)
        for stat in object_store().list("archive/")
        if stat.key.endswith(".zip")
    }


def names() -> tuple[str, str]:
    return Study.objects.get().patient_name, LocalPatient.objects.get().name


def test_a_preview_says_what_would_be_and_changes_nothing(study, admin):
    before = names(), lines(study)

    found = repair.preview(actor=admin, institution_id=study.institution_id, character_set="GBK")

    assert (found.studies, found.series, found.instances) == (1, 1, 1)
    (sample,) = found.samples
    assert sample.before["patient_name"] == study.patient_name
    assert sample.after["patient_name"] == "Wang^XiaoDong=王^小东"
    assert (names(), lines(study)) == before


def test_repaired_from_the_bytes_found_by_name_and_put_back_exactly(study, admin):
    before, bytes_before = (names(), lines(study)), packs()
    started = repair.start(
        actor=admin, institution_id=study.institution_id, character_set="GB18030"
    )

    repair.run()

    assert names() == ("Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东")
    assert "王^小东".encode() in lines(study)[0]
    assert packs() == bytes_before
    scrubbed = list(scrub(study_instance_uid=study.study_instance_uid))
    assert [each.faults for each in scrubbed] == [()]
    (row,) = find_persons(actor=admin, search=PersonSearch(name="王小东")).rows
    assert row.count == 1
    done = repair.progress(CharsetRepair.objects.get(pk=started.pk))
    assert (done.repair.state, done.done, done.waiting, done.percent) == ("done", 1, 0, 100)

    repair.undo(actor=admin, repair=started)
    repair.run()

    assert (names(), lines(study)) == before
    assert packs() == bytes_before
    assert CharsetRepair.objects.get().state == "undone"


def test_a_crash_in_the_middle_loses_nothing_and_the_run_goes_on(study, admin, monkeypatch):
    before = names(), lines(study)
    repair.start(actor=admin, institution_id=study.institution_id, character_set="GB18030")
    whole = repair._make_current

    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(repair, "_make_current", crash)
    with pytest.raises(RuntimeError):
        repair.run()
    assert (names(), lines(study)) == before

    monkeypatch.setattr(repair, "_make_current", whole)
    repair.run()
    assert names()[0] == "Wang^XiaoDong=王^小东"
    assert SeriesRevision.objects.count() == 2


def test_what_was_repaired_comes_back_from_the_bucket(study, admin):
    repair.start(actor=admin, institution_id=study.institution_id, character_set="GB18030")
    repair.run()
    CharsetRepair.objects.all().delete()
    Series.objects.update(current=None)
    SeriesRevision.objects.all().delete()
    Study.objects.all().delete()

    *_, done = rebuild_index()

    assert done.unusable == []
    assert Study.objects.get().patient_name == "Wang^XiaoDong=王^小东"


def test_studies_known_from_a_list_are_turned_round_and_latin_names_stay(store):
    hospital = archive.make_institution("H1")
    admin = archive.make_user("admin", "institution_admin", hospital)
    garbled = "张^伟".encode("gbk").decode("latin-1")
    listed = archive.make_indexed_study(
        hospital, "1.2.1", patient_id="1", patient_name=f"Zhang^Wei={garbled}"
    )
    other = archive.make_indexed_study(hospital, "1.2.2", patient_id="2", patient_name=MUELLER)

    found = repair.preview(actor=admin, institution_id=hospital.pk, character_set="GB18030")
    started = repair.start(actor=admin, institution_id=hospital.pk, character_set="GB18030")
    repair.run()

    assert (found.looked_at, found.studies) == (2, 1)
    listed.refresh_from_db()
    other.refresh_from_db()
    assert (listed.patient_name, other.patient_name) == ("Zhang^Wei=张^伟", MUELLER)
    assert "张伟" in listed.name_grams
    assert LocalPatient.objects.get(number="1").name == "Zhang^Wei=张^伟"
    repair.undo(actor=admin, repair=started)
    repair.run()
    listed.refresh_from_db()
    assert listed.patient_name == f"Zhang^Wei={garbled}"


def test_one_repair_at_a_time_by_the_institutions_administrator_alone(study, admin):
    at = {"institution_id": study.institution_id, "character_set": "GBK"}
    for role, place in (("radiologist", study.institution), ("commission", None)):
        with pytest.raises(NotPermitted):
            repair.preview(actor=archive.make_user(role, role, place), **at)
    with pytest.raises(CharacterSetUnusable):
        repair.start(actor=admin, institution_id=study.institution_id, character_set="latin-1")

    first = repair.start(actor=admin, **at)

    with pytest.raises(RepairRunning):
        repair.start(actor=admin, **at)
    with pytest.raises(RepairRunning):
        repair.undo(actor=admin, repair=first)


@pytest.mark.parametrize(
    ("raw", "declared", "text"),
    [
        ("张伟".encode("gbk"), "ISO_IR 100", "张伟"),
        ("朱镕基".encode("gbk"), "ISO_IR 6", "朱镕基"),  # half a character is an ASCII letter
        ("M\u00fcller".encode("latin-1"), "ISO_IR 100", "M\u00fcller"),
        ("张伟".encode(), "ISO_IR 192", "张伟"),
        ("Ren\u00e9e".encode("latin-1"), "ISO_IR 100", "Ren\u00e9e"),
    ],
)
def test_a_forced_character_set_is_for_chinese_alone(raw, declared, text):
    assert decode_text(raw, declared=declared, override=f"GB18030{FORCED}")[0] == text
