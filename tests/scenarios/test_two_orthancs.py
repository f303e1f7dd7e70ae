"""Two real Orthancs with the whole collection, a real MinIO, and the commands that a person types."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pydicom
import pytest
from dicomweb_client.web import DICOMwebClient
from django.core.management import CommandError, call_command
from django.db import connection

from common.accounts.models import User
from common.storage import open_store
from common.storage.minio import MinioStore
from hospitals.models import Institution, Membership
from sharing.models import Certificate, Quarantined, Series, SeriesRevision, Study, Transfer
from tests.support.dicom_files import Row, rows
from tests.support.fixtures import OrthancFactory
from tests.support.index_dump import index_dump
from tests.support.pulling import archived, instance
from tests.support.reading import listening_session
from tests.support.services import Orthanc

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.minio,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
# Debian's Orthanc 1.10 does not store it, whoever asks.
REFUSED_BY_ORTHANC = {"pydicom/test_files/sc_rgb_jpeg.dcm"}
NAMES = {"1.2.826.7.1": "张^三", "1.2.826.7.2": "欧阳^小丽", "1.2.826.7.3": "李^四"}


@pytest.fixture
def bucket(minio_url: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    """An empty bucket of a real MinIO as the archive."""
    url = urlunsplit(urlsplit(minio_url)._replace(path=f"/two-orthancs-{uuid4().hex}"))
    settings.OBJECT_STORE_URL = url
    settings.DATA_DIR = tmp_path / "data"
    settings.ALLOW_LOOPBACK_HOSPITALS = True
    yield
    store = open_store(url)
    assert isinstance(store, MinioStore)
    for stat in list(store.list("")):
        store.delete(stat.key)
    with store._translated("") as client:
        client.remove_bucket(store.address.bucket)


def chinese_files(folder: Path) -> list[Path]:
    """GB18030 declared, GB18030 bytes with nothing declared, and UTF-8."""
    codecs = {"GB18030": "gb18030", "": "gb18030", "ISO_IR 192": "utf-8"}
    paths = []
    for (study, name), (declared, codec) in zip(NAMES.items(), codecs.items(), strict=True):
        dataset = pydicom.dcmread(io.BytesIO(instance(1, study=study, series=f"{study}.1")))
        del dataset.SpecificCharacterSet
        if declared:
            dataset.SpecificCharacterSet = declared
        # As bytes, because that is what stands in the file whatever it declares.
        dataset[0x00100010] = pydicom.DataElement(0x00100010, "PN", "")
        dataset["PatientName"]._value = name.encode(codec)
        path = folder / f"{study}.dcm"
        path.write_bytes(_saved(dataset, name.encode(codec)))
        paths.append(path)
    return paths


def _saved(dataset: pydicom.Dataset, name: bytes) -> bytes:
    """The file with these bytes as the patient's name, which pydicom would encode by its own lights."""
    mark = b"@" * (len(name) + len(name) % 2)
    dataset.PatientName = mark.decode()
    out = io.BytesIO()
    dataset.save_as(out)
    data = out.getvalue()
    assert data.count(mark) == 1
    return data.replace(mark, name + b" " * (len(mark) - len(name)))


def load(orthanc: Orthanc, paths: list[Path]) -> dict[str, str]:
    """Store the files; SHA-256 of the hospital's own bytes by its own id of each accepted instance."""

    def accepted(path: Path) -> str:
        try:
            (answer,) = orthanc.load(path)
        except OSError:
            return ""  # refused by the hospital itself
        return str(answer["ID"]) if answer["Status"] == "Success" else ""

    with ThreadPoolExecutor(4) as pool:
        ids = {own for own in pool.map(accepted, paths) if own}
        files = pool.map(lambda own: orthanc.get(f"instances/{own}/file"), sorted(ids))
        return {
            own: hashlib.sha256(data).hexdigest()
            for own, data in zip(sorted(ids), files, strict=True)
        }


def pull(code: str) -> str:
    out = StringIO()
    try:
        call_command("pull", code, "--wait", stdout=out, stderr=out)
    except CommandError as error:
        out.write(f"exit: {error}")
    return out.getvalue()


def only_first_of_each_uid(found: list[Row]) -> list[Row]:
    """A server holds one instance of a UID; of several variants the first is loaded."""
    chosen = {row.sop_instance_uid or row.name: row for row in reversed(found)}
    return [row for row in found if chosen[row.sop_instance_uid or row.name] is row]


def test_two_hospitals_are_archived_as_they_hold_it_proved_rebuilt_and_read_back(
    orthanc: OrthancFactory, bucket: None, live_server: Any, tmp_path: Path
) -> None:
    sources = {
        "ORT1": [row.path for row in rows("instance")],
        "ORT2": [row.path for row in only_first_of_each_uid(rows("same-uid variant"))]
        + chinese_files(tmp_path),
    }
    identified = [row for row in rows("instance") if row.fields["study_instance_uid"]]
    assert len(identified) > 300, "the collection of DICOM files is not there"
    holds: dict[str, dict[str, str]] = {}
    for code, paths in sources.items():
        server = orthanc(code)
        holds[code] = load(server, paths)
        call_command(
            "hospital", "add", code, "--name", code, "--url", server.dicomweb_url, "--region",
            "420000", "--region-name", "湖北省", "--character-set", "GB18030", stdout=StringIO(),
        )  # fmt: skip

    refused = {row.name for row in identified} - {
        row.name for row in identified if row.sha256 in holds["ORT1"].values()
    }
    assert refused <= REFUSED_BY_ORTHANC
    assert len(holds["ORT2"]) == len(sources["ORT2"])

    tables = {code: pull(code) for code in sources}

    for code in sources:
        institution = Institution.objects.get(code=code)
        stored = archived(institution.pk)
        quarantined = set(
            Quarantined.objects.filter(institution=institution).values_list("sha256", flat=True)
        )
        lost = set(holds[code].values()) - set(stored.values()) - quarantined
        assert not lost, (code, len(lost), tables[code])
        assert set(stored.values()) <= set(holds[code].values())
        reasons = set(
            Quarantined.objects.filter(institution=institution).values_list("reason", flat=True)
        )
        assert reasons <= {"missing-uid"}

    names = dict(
        Study.objects.filter(study_instance_uid__in=NAMES).values_list(
            "study_instance_uid", "patient_name"
        )
    )
    assert names == NAMES
    assert verify() == ""
    assert_reads_back(live_server.url)
    before = index_dump()
    drop_index()
    call_command("rebuild_index", stdout=StringIO())
    assert index_dump() == before
    assert verify() == ""


def verify() -> str:
    out = StringIO()
    call_command("verify_archive", stdout=out, stderr=out)
    return "" if out.getvalue().rstrip().endswith("no faults.") else out.getvalue()


def drop_index() -> None:
    """All that the bucket must give back."""
    Series.objects.update(current=None)
    for model in (Transfer, Certificate, SeriesRevision, Series, Study, Quarantined):
        model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sharing_study")
        assert cursor.fetchone() == (0,)


def assert_reads_back(url: str) -> None:
    """dicomweb-client gets every archived instance, byte for byte, each hospital's reader its own."""
    for code in ("ORT1", "ORT2"):
        institution = Institution.objects.get(code=code)
        user = User.objects.create_user(username=f"reader-{code}", password=None)
        Membership.objects.create(
            user=user, role="radiologist", institution=institution, valid_from="2020-01-01"
        )
        out = StringIO()
        call_command("create_token", user.username, stdout=out)
        session, received = listening_session(out.getvalue().strip())
        client = DICOMwebClient(f"{url}/dicom-web", session=session)
        for series in Series.objects.filter(study__institution=institution).exclude(current=None):
            study_uid = series.study.study_instance_uid
            found = client.retrieve_series(
                study_uid, series.series_instance_uid, media_types=(("application/dicom", "*"),)
            )
            assert len(found) == series.instance_count
        assert received == set(archived(institution.pk).values())
