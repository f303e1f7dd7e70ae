"""Searches and stores that no client sends: an answer each time, no fault of ours, no hang, nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sharing.dicomweb.conftest import Province
from tests.support import archive
from tests.support.dicom_files import rows
from tests.support.pulling import SERIES, STUDY, instance
from tests.support.storing import Sender, multipart

QUICKLY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
LONGEST_S = 5.0  # of one request on a busy machine
MOST_GROWTH_BYTES = 96 * 2**20
NAMES = [
    "PatientName",
    "00100010",
    "PatientID",
    "StudyDate",
    "00080020",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "ReferringPhysicianName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "StudyDescription",
    "PatientBirthDate",
    "SeriesNumber",
    "Modality",
    "NumberOfFrames",
    "SOPClassUID",
    "PerformedProcedureStepStartDate",
    "RequestAttributesSequence.ScheduledProcedureStepID",
    "00400275.00400009",
    "OtherPatientIDsSequence.PatientID",
    "includefield",
    "limit",
    "offset",
    "fuzzymatching",
    "federated",
    "accept",
    "charset",
    "00091001",
    "FFFFFFFF",
]
PATHS = [
    "studies",
    "series",
    "instances",
    f"studies/{STUDY}/series",
    f"studies/{STUDY}/instances",
    f"studies/{STUDY}/series/{SERIES}/instances",
    "studies/1..2/series",
    "at/near/studies",
    "at/near/series",
    "at/far/studies",
]
ACCEPTS = [
    "*/*",
    "application/dicom+json",
    'multipart/related; type="application/dicom+xml"',
    "application/dicom+json; q=x, */*; q=9",
    'multipart/related; type="',
    "text/html",
    ",;=\\",
]
_SIGNS = st.text(st.sampled_from(list("0129-.:*?\\,=^%_/ aA张\u200b\U0001f600\x1b")), max_size=30)
_ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
_LONG = st.builds(lambda text, times: text * times, _SIGNS, st.sampled_from([1, 1, 1, 50, 1_000]))
_VALUES = st.one_of(_SIGNS, _ANY, _LONG)
_PAIRS = st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), _SIGNS), _VALUES), max_size=5)


@pytest.fixture
def no_growth() -> Iterator[None]:
    """The process is not much larger afterwards than it was."""
    before = _resident_bytes()
    yield
    assert _resident_bytes() - before < MOST_GROWTH_BYTES


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.usefixtures("no_growth")
@settings(QUICKLY, max_examples=300)
@given(path=st.sampled_from(PATHS), pairs=_PAIRS, accept=st.sampled_from(ACCEPTS))
def test_no_search_is_a_fault_of_ours(
    province: Province, reader: Any, path: str, pairs: list[tuple[str, str]], accept: str
) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    began = time.monotonic()

    answer = reader.get(f"/dicom-web/{path}?{query}"[:8_000], headers={"Accept": accept})

    assert answer.status_code in {200, 204, 400, 404, 406, 413, 503}
    assert answer.status_code == 204 or answer["Content-Type"]
    assert time.monotonic() - began < LONGEST_S


@pytest.fixture
def sender(province: Province, client: Any) -> Sender:
    client.raise_request_exception = False
    return Sender(client, archive.make_user("pacs", "integrator", province.near, is_system=True))


def _checked(answer: Any, began: float) -> None:
    assert answer.status_code in {200, 202, 400, 409, 411, 413, 415, 503}, answer.content
    assert answer["Content-Type"]
    assert time.monotonic() - began < LONGEST_S


def _left_behind() -> list[Path]:
    """Files of a request that has ended."""
    spool = Path(django_settings.DATA_DIR) / "spool"
    return [path for path in spool.rglob("*") if path.is_file()] if spool.exists() else []


_TYPES = [
    'multipart/related; type="application/dicom"; boundary=b',
    'multipart/related; type="application/dicom+json"; boundary=b',
    'multipart/related; type="application/dicom+xml"; boundary=b',
    "multipart/related; boundary=b",
    'multipart/related; type="application/dicom"',
    'multipart/related; type="application/dicom"; boundary=""',
    "multipart/related; type=x/y; boundary=b",
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    "text/plain",
    "x",
    "",
]
_PARTS = st.lists(
    st.one_of(
        st.binary(max_size=200),
        st.just(instance(1)),
        st.builds(lambda end: instance(2)[:end], st.integers(0, 900)),
        st.sampled_from(
            [b"[]", b"{}", b"[{}]", b'[{"00080018":{"vr":"UI"}}]', b"<a/>", b"[" * 500]
        ),
    ),
    max_size=3,
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_growth")
@settings(QUICKLY, max_examples=120)
@given(
    parts=_PARTS,
    content_type=st.sampled_from(_TYPES),
    part_type=st.sampled_from(["application/dicom", "application/dicom+json", "text/x", ""]),
    cut=st.integers(0, 60),
    noise=st.binary(max_size=8),
)
def test_no_body_of_a_store_is_a_fault_of_ours(
    sender: Sender, parts: list[bytes], content_type: str, part_type: str, cut: int, noise: bytes
) -> None:
    body = multipart(*parts, types=(part_type,) * len(parts))
    body = body[: len(body) - cut] + noise
    began = time.monotonic()

    _checked(sender.post(body, content_type=content_type), began)

    assert _left_behind() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not rows("malformed"), reason="the collection of DICOM files is not here")
@pytest.mark.usefixtures("no_growth")
def test_each_malformed_file_is_answered_with_its_fate(sender: Sender) -> None:
    for row in rows("malformed"):
        began = time.monotonic()

        _checked(sender.store(row.path.read_bytes()), began)

    assert _left_behind() == []
