"""A province with an archive of files, hospitals on loopback, and instances made for the test.

Import the fixtures into a ``conftest.py``; the functions can be called from anywhere.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from common.archive import keys
from common.archive.documents import SeriesIndex
from common.storage import object_store
from hospitals import services as hospital_services
from hospitals.models import Institution, Region
from hospitals.services import EndpointSettings
from sharing.models import DiscoveryWindow, SeriesRevision, Transfer
from sharing.services import discovery, proving, pulling, transfers
from sharing.services.on_demand.fetches import THREAD_NAME
from sharing.services.pulling import Outcome
from tests.support.hostile_origin import HostileOrigin
from tests.support.installation import wait_until

ACTOR = "test"
STUDY, SERIES = "1.2.826.1.1", "1.2.826.1.1.1"
MakeHospital = Callable[..., Institution]


@cache
def _template() -> bytes:
    return Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()


def instance(
    number: int = 1,
    *,
    study: str = STUDY,
    series: str = SERIES,
    sop: str = "",
    name: str = "Zhang^San",
    study_date: str = "20260301",
    comment: str = "",
    **attributes: Any,
) -> bytes:
    """A small CT instance; ``comment`` makes other bytes of the same instance."""
    dataset = pydicom.dcmread(io.BytesIO(_template()))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = sop or f"{series}.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceNumber, dataset.StudyDate = number, study_date
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", name
    if comment:
        dataset.ImageComments = comment
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def archive(tmp_path: Path, settings: Any) -> Path:
    """The directory of an object store of this test alone; the spool is the test's own too."""
    root = tmp_path / "store"
    settings.OBJECT_STORE_URL = f"file://{root}"
    settings.DATA_DIR = tmp_path / "data"
    settings.ALLOW_LOOPBACK_HOSPITALS = True
    return root


@pytest.fixture
def make_hospital(db: None) -> MakeHospital:
    """``make_hospital(code, base_url=…, …)``: an active institution with this endpoint."""

    def make(code: str = "H1", **endpoint: Any) -> Institution:
        region = Region.objects.filter(code="420000").first() or hospital_services.add_region(
            actor=ACTOR, code="420000", name="湖北省"
        )
        institution = hospital_services.add_institution(
            actor=ACTOR, code=code, name=f"医院 {code}", region=region
        )
        endpoint = {"connect_timeout_s": 2, "read_timeout_s": 1} | endpoint
        hospital_services.set_endpoint(
            actor=ACTOR, institution=institution, endpoint=EndpointSettings(**endpoint)
        )
        hospital_services.activate(actor=ACTOR, code=code)
        return institution

    return make


@dataclass
class Hospital:
    """An institution and the origin that stands for its archive."""

    institution: Institution
    origin: HostileOrigin

    @property
    def id(self) -> int:
        return self.institution.pk

    def pull(self, **window: Any) -> list[Outcome | None]:
        """Discover, then one try of everything that is due."""
        discover(self.id, **window)
        return run_due(self.id)


@pytest.fixture
def hospital(archive: Path, make_hospital: MakeHospital) -> Iterator[Hospital]:
    """H1 with an empty origin that behaves well until it is told otherwise."""
    with HostileOrigin() as origin:
        yield Hospital(make_hospital("H1", base_url=origin.url), origin)


def discover(institution_id: int, **window: Any) -> list[DiscoveryWindow]:
    """Open windows and read them, those that are opened meanwhile too."""
    for opened in discovery.open_window(institution_id=institution_id, **window):
        discovery.run_window(window_id=opened.pk)
    rows = DiscoveryWindow.objects.filter(institution_id=institution_id)
    while (
        child := rows.filter(state="open", attempts=0, lease_until=None).order_by("pk").first()
    ) is not None:
        discovery.run_window(window_id=child.pk)
    return list(rows.order_by("pk"))


def run_due(institution_id: int) -> list[Outcome | None]:
    """One try of each transfer that can be handed out now, in this thread."""
    done: list[Outcome | None] = []
    tried: set[int] = set()
    # As many at a time as the hospital takes; none twice, however short its delay is.
    while fresh := set(transfers.hand_out(slots=1000, institution_id=institution_id)) - tried:
        for transfer_id in sorted(fresh):
            done.append(pulling.run_transfer(transfer_id=transfer_id, worker="test"))
        tried |= fresh
    proving.certify_overdue()
    return done


def make_due(institution_id: int) -> None:
    """What waits for its next try need not wait; the circuit is closed."""
    hospital_services.record_origin_success(institution_id=institution_id)
    early = "2020-01-01T00:00:00Z"
    Transfer.objects.filter(institution_id=institution_id).update(not_before=early)
    DiscoveryWindow.objects.filter(institution_id=institution_id).update(not_before=early)


def index_of(revision: SeriesRevision) -> SeriesIndex:
    return SeriesIndex.from_bytes(object_store().get_bytes(keys.index_key(revision.prefix)))


def archived(institution_id: int | None = None) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of the very bytes that the current packs hold."""
    revisions = SeriesRevision.objects.filter(
        pk__in=SeriesRevision.objects.filter(series__current__isnull=False).values(
            "series__current"
        )
    )
    if institution_id is not None:
        revisions = revisions.filter(series__study__institution_id=institution_id)
    found: dict[str, str] = {}
    for revision in revisions:
        index = index_of(revision)
        for entry in index.instances:
            digest = hashlib.sha256()
            with object_store().stream(
                index.pack_key, offset=entry.offset, length=entry.size
            ) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
            assert entry.sop_instance_uid not in found
            found[entry.sop_instance_uid] = digest.hexdigest()
    return found


def held(origin: HostileOrigin, *sops: str) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of what the origin holds (the first of each UID)."""
    found: dict[str, str] = {}
    for one in origin.held:
        if not sops or one.sop in sops:
            found.setdefault(one.sop, sha256(one.data))
    return found


def add_all(origin: HostileOrigin, data: Iterable[bytes]) -> None:
    for one in data:
        origin.add(one)


def settle() -> None:
    """Return when all that this process does for readers has ended: pulls, leases, questions to hospitals."""
    wait_until(
        "no thread of ours runs",
        lambda: not {THREAD_NAME, "lease", "federated"} & {t.name for t in threading.enumerate()},
        timeout_s=20,
    )
