"""The product's own web server, without any worker, in front of hospitals: fetching is the readers' own work."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.data import get_testdata_file

from common.accounts.tokens import create_token
from common.dicomweb.media_types import parse_media_type
from common.dicomweb.multipart import iter_parts
from hospitals.models import Endpoint
from sharing import permissions
from sharing.models import Study, Transfer
from tests.support.archive import make_user
from tests.support.fixtures import OrthancFactory
from tests.support.installation import wait_until
from tests.support.pulling import STUDY, Hospital, MakeHospital, archived, discover, held, instance
from tests.support.web import WebFactory

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SERIES = [f"{STUDY}.{number}" for number in (1, 2, 3)]


@pytest.fixture
def headers(hospital: Hospital) -> dict[str, str]:
    """Those of a radiologist; the hospital lists three series of eight instances, none of them here."""
    permissions.forget_sights()
    for series in SERIES:
        for number in range(1, 9):
            hospital.origin.add(instance(number, series=series))
    discover(hospital.id, index_only=True)
    hospital.origin.requests.clear()
    Endpoint.objects.update(read_timeout_s=30)
    user = make_user("reader", "radiologist", hospital.institution)
    return {"Authorization": f"Bearer {create_token(actor='test', user=user)}", "Accept": ANY}


def read(answer: requests.Response) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of an answer, to its closing boundary."""
    media_type = parse_media_type(answer.headers["Content-Type"])
    assert media_type is not None
    found = {}
    for part in iter_parts(answer.iter_content(65536), boundary=media_type.boundary):
        data = b"".join(part.chunks())
        sop = part.headers["content-location"].rpartition("/")[2]
        found[sop] = hashlib.sha256(data).hexdigest()
    return found


def test_readers_of_one_study_in_two_processes_get_it_whole_by_one_pull_without_a_worker(
    hospital: Hospital, web: WebFactory, headers: dict[str, str]
) -> None:
    server = web(WEB_THREADS="16", ON_DEMAND_READERS="8")
    hospital.origin.manners.pause_s = 0.05

    def one(_: int) -> dict[str, str]:
        address = f"{server.url}/dicom-web/studies/{STUDY}"
        with requests.get(address, headers=headers, stream=True, timeout=60) as answer:
            assert answer.status_code == 200
            return read(answer)

    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(one, range(6)))

    assert all(each == held(hospital.origin) for each in got)
    retrieved = [path for path, _ in hospital.origin.requests if path.endswith(tuple(SERIES))]
    assert sorted(retrieved) == [f"/studies/{STUDY}/series/{uid}" for uid in SERIES]
    wait_until("archived", lambda: Study.objects.get().state == "archived", timeout_s=10)


def test_a_web_process_that_is_killed_in_the_middle_loses_nothing(
    hospital: Hospital, web: WebFactory, headers: dict[str, str]
) -> None:
    address = f"/dicom-web/studies/{STUDY}"
    first = web(PULL_LEASE_S="2")
    hospital.origin.manners.retrieve, hospital.origin.manners.at_part = "stall", 3
    hospital.origin.manners.times = 3  # the first pull of each series
    with requests.get(first.url + address, headers=headers, stream=True, timeout=30) as answer:
        chunk = next(answer.iter_content(1024))
        first.kill()

        def rest() -> None:
            read_all = b"".join(answer.iter_content(65536))
            assert read_all.endswith(b"--\r\n"), "broken off without its end"

        with pytest.raises((requests.RequestException, AssertionError)):
            rest()
    assert chunk
    assert Transfer.objects.filter(state="running").exists()

    hospital.origin.manners.retrieve = "well"
    time.sleep(2.5)
    second = web(PULL_LEASE_S="2")
    with requests.get(second.url + address, headers=headers, stream=True, timeout=60) as answer:
        got = read(answer)

    assert got == held(hospital.origin)
    wait_until("archived", lambda: archived() == held(hospital.origin), timeout_s=10)


def test_a_hospital_that_hangs_leaves_the_server_to_those_who_read_what_is_here(
    hospital: Hospital, web: WebFactory, headers: dict[str, str]
) -> None:
    server = web(WEB_THREADS="4", ON_DEMAND_READERS="8", ON_DEMAND_WAIT_S="5")
    hospital.origin.manners.retrieve = "stall"
    statuses: list[int] = []

    def one() -> None:
        address = f"{server.url}/dicom-web/studies/{STUDY}/metadata"
        accept = headers | {"Accept": "application/dicom+json"}
        statuses.append(requests.get(address, headers=accept, timeout=60).status_code)

    threads = [threading.Thread(target=one) for _ in range(24)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    begun = time.monotonic()
    listed = requests.get(
        f"{server.url}/dicom-web/studies?limit=1", headers=headers | {"Accept": "*/*"}, timeout=20
    )
    took_s = time.monotonic() - begun
    for thread in threads:
        thread.join()

    assert listed.status_code == 200
    assert took_s < 3
    assert set(statuses) == {503}


@pytest.mark.orthanc
def test_a_study_of_a_real_orthanc_is_found_asked_for_and_read_by_dicomweb_client(
    orthanc: OrthancFactory, archive: Any, make_hospital: MakeHospital, web: WebFactory
) -> None:
    server = orthanc("hospital")
    data = [
        instance(number, study="1.2.77", series="1.2.77.1", PatientID="P77") for number in (1, 2, 3)
    ]
    for each in data:
        server._store(each)
    server._store(open_bytes("MR_small.dcm"))
    institution = make_hospital("ORT", base_url=server.dicomweb_url)
    permissions.forget_sights()
    user = make_user("reader", "radiologist", institution)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {create_token(actor='test', user=user)}"
    root = f"{web().url}/dicom-web"

    answer = session.get(f"{root}/studies?PatientID=P77&federated=true", timeout=30)
    client = DICOMwebClient(root, session=session)
    series = client.search_for_series("1.2.77")
    instances = client.search_for_instances("1.2.77", "1.2.77.1")
    came = list(client.iter_study("1.2.77", media_types=(("application/dicom", "*"),)))

    assert answer.headers["Federated-Coverage"] == "asked=1, answered=1, complete=?1"
    assert [row["0020000D"]["Value"][0] for row in answer.json()] == ["1.2.77"]
    assert [row["00080056"]["Value"][0] for row in series] == ["NEARLINE"]
    assert len(instances) == 3
    assert sorted(each.InstanceNumber for each in came) == [1, 2, 3]
    wait_until("archived", lambda: Study.objects.get().state == "archived", timeout_s=10)


def open_bytes(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()
