"""Hostile store requests: no 500, no hang, no growth (PS3.18 §10.5)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.dicom.compose import compose
from common.dicom.errors import MalformedDicom
from common.dicomweb.errors import MalformedMultipart
from common.dicomweb.multipart import iter_parts
from sharing.services.spool import spool_folder
from tests.support import dicom_files
from tests.support.pulling import instance
from tests.support.storing import JSON, Sender, multipart

GOOD = multipart(instance(1), instance(2))
ODD = [*dicom_files.rows("malformed"), *dicom_files.rows("dicomdir")]
fuzz = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@st.composite
def damaged(draw: Any) -> bytes:
    """A good request, cut, with bytes changed, or with a stretch repeated."""
    data = bytearray(GOOD)
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(data)))
        data = data[:start] + data[draw(st.integers(0, start)) :]
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data) or b"-"


@pytest.mark.django_db(transaction=True)
@fuzz
@given(body=damaged())
def test_a_damaged_request_is_answered_in_order(sender: Sender, body: bytes) -> None:
    answer = sender.post(body)

    assert answer.status_code in (200, 202, 400, 409)
    assert answer.content


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row", ODD, ids=lambda row: row.name)
def test_malformed_files_are_refused_or_kept_and_never_break_the_server(
    sender: Sender, row: dicom_files.Row
) -> None:
    answer = sender.store(row.path.read_bytes(), instance(1))

    assert answer.status_code in (200, 202)
    assert not list(_spool())


def _spool() -> list[Path]:
    with spool_folder("look") as folder:
        return [each for each in folder.parent.iterdir() if each != folder]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
elements = st.fixed_dictionaries(
    {},
    optional={
        "vr": st.sampled_from(["PN", "US", "SQ", "OB", "AT", "DS", "IS", "UI", "FD", "UN", "XX"])
        | json_values,
        "Value": st.lists(json_values, max_size=4) | json_values,
        "InlineBinary": st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode())
        | json_values,
        "BulkDataURI": st.sampled_from(["a", "b"]) | json_values,
    },
)
data_sets = st.dictionaries(
    st.sampled_from(
        ["00080018", "00080016", "00100010", "7FE00010", "00081115", "00280010", "0020000D"]
    )
    | st.text(max_size=9),
    elements | json_values,
    max_size=6,
)


@given(attributes=data_sets)
@settings(max_examples=400, deadline=None)
def test_composing_refuses_in_its_own_words(attributes: dict[str, Any]) -> None:
    def find(_: str) -> Any:
        raise MalformedDicom("unreadable", "none")

    try:
        made = b"".join(compose(attributes, find_bulk=find))
    except MalformedDicom:
        return
    assert made[128:132] == b"DICM"


@pytest.mark.django_db(transaction=True)
@fuzz
@given(document=json_values | st.lists(data_sets, max_size=3))
def test_metadata_of_any_form_are_answered_in_order(sender: Sender, document: Any) -> None:
    try:
        raw = orjson.dumps(document)
    except TypeError:  # an integer that JSON has no room for
        return

    answer = sender.post(multipart(raw, types=("application/dicom+json",)), content_type=JSON)

    assert answer.status_code in (200, 202, 400, 409)


@given(body=st.binary(max_size=400) | damaged(), cuts=st.lists(st.integers(1, 200), max_size=9))
@settings(max_examples=300, deadline=None)
def test_the_reader_of_parts_ends_and_gives_no_more_than_came(body: bytes, cuts: list[int]) -> None:
    def chunks() -> Any:
        rest = body
        for cut in cuts:
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    total = 0
    try:
        for part in iter_parts(chunks(), boundary="b"):
            total += sum(map(len, part.chunks()))
    except MalformedMultipart:
        pass
    assert total <= len(body)
