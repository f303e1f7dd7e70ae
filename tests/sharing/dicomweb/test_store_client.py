"""Clients that nobody here wrote store over the wire: dicomweb-client and Orthanc."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient

from common.accounts.tokens import create_token
from sharing.models import ReceivedInstance, Study
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive, services
from tests.support.pulling import SERIES, STUDY, instance

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pacs_token(province: Province) -> str:
    user = archive.make_user("pacs", "integrator", province.near, is_system=True)
    return create_token(actor="test", user=user)


def test_dicomweb_client_stores_and_finds_what_it_stored(
    province: Province, live_server: Any, pacs_token: str
) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {pacs_token}"
    client = DICOMwebClient(f"{live_server.url}/dicom-web", session=session)
    datasets = [pydicom.dcmread(io.BytesIO(instance(number))) for number in (1, 2, 3)]

    response = client.store_instances(datasets)
    into_study = client.store_instances(datasets[:1], study_instance_uid=STUDY)

    assert len(response.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in response
    assert len(into_study.ReferencedSOPSequence) == 1
    assert len(client.search_for_instances(STUDY, SERIES)) == 3


@pytest.fixture
def orthanc(tmp_path: Path, live_server: Any, pacs_token: str) -> Iterator[services.Orthanc]:
    """An Orthanc that knows us as a DICOMweb server, and sends with Content-Length: the test's own server
    takes no chunks apart (gunicorn does: tests/scenarios/test_store.py)."""
    server = services.new_orthanc(
        tmp_path / "orthanc",
        DicomWeb={
            "Enable": True,
            "Root": "/dicom-web/",
            "Servers": {
                "cloud": {
                    "Url": f"{live_server.url}/dicom-web/",
                    "HttpHeaders": {"Authorization": f"Bearer {pacs_token}"},
                    "ChunkedTransfers": False,
                }
            },
        },
    )
    server.start()
    yield server
    server.stop()


def post(url: str, body: bytes) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=body), timeout=60) as answer:
        return dict(json.loads(answer.read()))


@pytest.mark.orthanc
def test_orthanc_pushes_a_study_to_us(province: Province, orthanc: services.Orthanc) -> None:
    for number in range(1, 6):
        post(f"{orthanc.url}instances", instance(number))
    study = json.loads(
        urllib.request.build_opener(urllib.request.ProxyHandler({}))
        .open(f"{orthanc.url}studies", timeout=10)
        .read()
    )[0]

    sent = post(
        f"{orthanc.url}dicom-web/servers/cloud/stow",
        json.dumps({"Resources": [study], "Synchronous": True}).encode(),
    )

    assert sent
    assert ReceivedInstance.objects.count() == 5
    assert Study.objects.get().instance_count == 5
