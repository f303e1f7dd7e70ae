"""Orthanc's DICOMweb client pulls studies from us and pushes studies to us, in chunks, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.accounts.tokens import create_token
from sharing.models import Study
from tests.support import archive
from tests.support.dicom_files import Row, row, rows
from tests.support.fixtures import OrthancFactory
from tests.support.reading import everything
from tests.support.services import Orthanc
from tests.support.web import WebFactory

pytestmark = [pytest.mark.orthanc, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NAMES = ["cornerstone/ctimage.dcm", "cornerstone/ct1_j2kr.dcm", "dcmjs/cine-test.dcm"]
SERIES = "dcm_qa_ct/philips_phantom_std_brain_5mm"


@pytest.fixture
def hospital(settings: Any, tmp_path: Path, transactional_db: None) -> Iterator[Any]:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    return archive.make_institution("near")


def orthanc_that_knows(url: str, token: str, orthanc: OrthancFactory) -> Orthanc:
    """An Orthanc with our root as a DICOMweb server of its own."""
    server = {
        "Url": f"{url}/dicom-web/at/near/",
        "HttpHeaders": {"Authorization": f"Bearer {token}"},
        "ChunkedTransfers": True,
        "HasWadoRsUniversalTransferSyntax": True,
    }
    plugin = {"Enable": True, "Root": "/dicom-web/", "Servers": {"us": server}}
    return orthanc("client", DicomWeb=plugin)


def post(server: Orthanc, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"{server.url}{path}", data=json.dumps(body).encode(), method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=120) as answer:
        return json.loads(answer.read())


def files() -> list[Row]:
    return [row(name) for name in NAMES] + [
        each for each in rows("instance") if each.name.startswith(SERIES)
    ]


def test_orthanc_pushes_studies_to_us_and_every_byte_arrives(
    hospital: Any, web: WebFactory, orthanc: OrthancFactory
) -> None:
    token = create_token(actor="test", user=archive.make_user("pacs", "integrator", hospital))
    ours = web().url
    server = orthanc_that_knows(ours, token, orthanc)
    kept = {}
    for each in files():
        (answer,) = server.load(each.path)
        kept[answer["ID"]] = hashlib.sha256(
            server.get(f"instances/{answer['ID']}/file")
        ).hexdigest()

    post(server, "dicom-web/servers/us/stow", {"Resources": sorted(kept), "Synchronous": True})

    assert everything(f"{ours}/dicom-web/at/near", token) == set(kept.values())
    assert Study.objects.filter(institution=hospital).count() == len(NAMES) + 1


def test_orthanc_searches_and_retrieves_studies_from_us(
    hospital: Any, web: WebFactory, orthanc: OrthancFactory, tmp_path: Path
) -> None:
    archive.archive_files(hospital, [each.path for each in files()], tmp_path=tmp_path)
    token = create_token(actor="test", user=archive.make_user("reader", "radiologist", hospital))
    server = orthanc_that_knows(web().url, token, orthanc)

    found = post(server, "dicom-web/servers/us/qido", {"Uri": "/studies"})
    studies = [each["0020000D"]["Value"] for each in found]
    post(
        server,
        "dicom-web/servers/us/retrieve",
        {"Resources": [{"Study": uid} for uid in studies], "Synchronous": True},
    )

    digests = {
        hashlib.sha256(server.get(f"instances/{own}/file")).hexdigest()
        for own in json.loads(server.get("instances"))
    }
    assert digests == {each.sha256 for each in files()}
