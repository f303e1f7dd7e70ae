"""What enters the archive, and what goes to quarantine with its reason."""

from __future__ import annotations

import io
import json
import zipfile

import pydicom
import pytest

from common.archive import documents, keys
from common.audit.models import AuditEntry
from common.storage import object_store
from sharing.models import Quarantined, Series, SeriesRevision, Study, Transfer
from tests.support.dicom_files import row, rows
from tests.support.pulling import (
    SERIES,
    STUDY,
    add_all,
    archived,
    held,
    index_of,
    instance,
    make_due,
    run_due,
    sha256,
)


def variants() -> list:
    """Pairs of real files with one SOP, Series and Study Instance UID and other bytes."""
    firsts = {found.sop_instance_uid: found for found in rows("instance")}
    pairs = {
        found.sop_instance_uid: (firsts[found.sop_instance_uid], found)
        for found in rows("same-uid variant")
        if found.fields["series_instance_uid"]
        and found.fields["study_instance_uid"]
        and firsts.get(found.sop_instance_uid) is not None
        and all(
            firsts[found.sop_instance_uid].fields[level] == found.fields[level]
            for level in ("study_instance_uid", "series_instance_uid")
        )
    }
    return list(pairs.values())


def test_the_bytes_are_kept_as_they_were_sent_one_zip_with_its_documents(hospital):
    add_all(hospital.origin, [instance(2), instance(1), instance(10)])

    hospital.pull()

    assert archived() == held(hospital.origin)
    revision = SeriesRevision.objects.get()
    index = index_of(revision)
    pack = zipfile.ZipFile(io.BytesIO(object_store().get_bytes(index.pack_key)))
    assert {info.compress_type for info in pack.infolist()} == {zipfile.ZIP_STORED}
    assert {name: sha256(pack.read(name)) for name in pack.namelist()} == {
        f"{uid}.dcm": digest for uid, digest in held(hospital.origin).items()
    }
    assert [entry.instance_number for entry in index.instances] == [1, 2, 10]
    metadata = documents.split_metadata(
        object_store().get_bytes(keys.metadata_key(revision.prefix))
    )
    assert [found["00200013"]["Value"] for found in metadata] == [[1], [2], [10]]
    first = index.instances[0]
    read = pydicom.dcmread(io.BytesIO(held_bytes(hospital, first.sop_instance_uid)))
    assert first.frames.count == 1
    assert first.bulk["7FE00010"][1] == len(read.PixelData)


def held_bytes(hospital, uid: str) -> bytes:
    return next(one.data for one in hospital.origin.held if one.sop == uid)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("malformed/fo-dicom/gh340.dcm", "not-dicom"),
        ("malformed/pydicom/no_meta.dcm", "not-dicom"),
        ("malformed/fo-dicom/gh220.dcm", "missing-uid"),
        ("malformed/pydicom/priv_sq.dcm", "missing-uid"),
    ],
)
def test_a_malformed_file_is_quarantined_with_its_reason_once_however_often_it_comes(
    hospital, name, reason
):
    data = row(name).path.read_bytes()
    hospital.origin.add(instance(1))
    hospital.origin.add(data, study=STUDY, series=SERIES, sop="1.2.666")

    hospital.pull()
    make_due(hospital.id)
    run_due(hospital.id)

    case = Quarantined.objects.get()
    assert (case.reason, case.state, case.times) == (reason, "open", 2)
    assert (case.study_instance_uid, case.series_instance_uid) == (STUDY, SERIES)
    assert object_store().get_bytes(case.object_key) == data
    assert AuditEntry.objects.filter(action="instance.quarantine").count() == 1
    assert Study.objects.get().state == "incomplete"


def test_a_file_cut_short_is_quarantined_as_truncated(hospital):
    hospital.origin.add(instance(1))
    hospital.origin.add(instance(2)[:-900], study=STUDY, series=SERIES, sop=f"{SERIES}.2")

    hospital.pull()

    assert Quarantined.objects.get().reason == "truncated"
    assert archived() == held(hospital.origin, f"{SERIES}.1")


def test_a_uid_that_is_none_is_quarantined(hospital):
    good = instance(2)
    bad = good.replace(f"{SERIES}.2".encode(), b"../../../etc/pw")
    assert len(bad) == len(good)
    hospital.origin.add(instance(1))
    hospital.origin.add(bad, study=STUDY, series=SERIES, sop=f"{SERIES}.2")

    hospital.pull()

    assert Quarantined.objects.get().reason == "bad-uid"
    assert archived() == held(hospital.origin, f"{SERIES}.1")


@pytest.mark.parametrize("level", ["study", "series"])
def test_an_instance_of_another_study_or_series_is_quarantined(hospital, level):
    stray = instance(7, **{level: "1.2.99"})
    hospital.origin.add(instance(1))
    hospital.origin.add(stray, study=STUDY, series=SERIES, sop=f"{SERIES}.7")

    hospital.pull()

    case = Quarantined.objects.get()
    assert case.reason == "wrong-study"
    assert object_store().get_bytes(case.object_key) == stray


def test_the_same_bytes_sent_again_change_nothing(hospital):
    data = [instance(1), instance(2)]
    add_all(hospital.origin, [*data, *data])

    hospital.pull()
    before = list(SeriesRevision.objects.values())
    hospital.pull()

    assert archived() == held(hospital.origin)
    assert list(SeriesRevision.objects.values()) == before
    assert not Quarantined.objects.exists()


@pytest.mark.parametrize("pair", variants()[:12], ids=lambda pair: pair[1].name)
def test_the_same_uid_with_other_bytes_is_a_case_and_the_first_stays(hospital, pair):
    first, other = (found.path.read_bytes() for found in pair)
    hospital.origin.add(first)
    hospital.pull()
    hospital.origin.held.clear()
    hospital.origin.add(other)

    transfer = Transfer.objects.get()
    Transfer.objects.filter(pk=transfer.pk).update(state="waiting", again=True)
    run_due(hospital.id)

    assert set(archived().values()) == {sha256(first)}
    assert SeriesRevision.objects.count() == 1
    case = Quarantined.objects.get()
    assert (case.reason, case.sha256) == ("conflict", sha256(other))
    assert object_store().get_bytes(case.object_key) == other
    assert Series.objects.get().state == "verified"


def test_the_facts_of_a_case_lie_beside_its_bytes(hospital):
    hospital.origin.add(instance(1))
    hospital.origin.add(instance(1, comment="edited"))

    hospital.pull()

    case = Quarantined.objects.get()
    (document,) = [
        stat.key for stat in object_store().list("quarantine/") if stat.key.endswith(".json")
    ]
    facts = json.loads(object_store().get_bytes(document))
    assert (facts["reason"], facts["sha256"]) == ("conflict", case.sha256)


def test_nothing_of_use_is_an_error_of_its_own(hospital):
    hospital.origin.add(b"not DICOM at all", study=STUDY, series=SERIES, sop="1.2.666")

    hospital.pull()

    transfer = Transfer.objects.get()
    assert (transfer.state, transfer.error_code) == ("waiting", "nothing-retrieved")
    assert transfer.quarantined == 1
    assert Series.objects.get().current is None
