"""Index and metadata documents: the same content gives the same bytes, and they come back equal."""

from __future__ import annotations

import gzip
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.archive.documents import (
    InstanceEntry,
    SeriesIndex,
    metadata_bytes,
    metadata_lines,
    split_metadata,
)
from common.archive.errors import DocumentUnreadable
from common.dicom.frames import Frames
from tests.support.packs import CT, EXPLICIT, index_of, write_pack

numbers = st.integers(0, 2**53 - 1)
entries = st.builds(
    InstanceEntry,
    sop_instance_uid=st.from_regex(r"[0-9.]{1,64}", fullmatch=True),
    sop_class_uid=st.just(CT),
    transfer_syntax_uid=st.just(EXPLICIT),
    instance_number=st.none() | st.integers(-(2**31), 2**31 - 1),
    offset=numbers,
    size=numbers,
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    frames=st.just(Frames())
    | st.lists(st.tuples(numbers, numbers), min_size=1).map(
        lambda ranges: Frames("encapsulated", 1, fragments=(tuple(ranges),))
    ),
    bulk=st.dictionaries(
        st.from_regex(r"[0-9A-F]{8}", fullmatch=True), st.tuples(numbers, numbers)
    ),
)
indexes = st.builds(
    SeriesIndex,
    institution_code=st.text("HX0123456789", min_size=1),
    study_instance_uid=st.just("1.2"),
    series_instance_uid=st.just("1.2.3"),
    number=st.integers(1, 10**7),
    pack_key=st.text(st.characters(exclude_categories=["Cs"])),
    pack_size=numbers,
    pack_digest=st.just("0" * 64),
    character_set=st.sampled_from(["", "GB18030"]),
    instances=st.lists(entries, max_size=5).map(tuple),
)


@given(index=indexes)
def test_an_index_comes_back_equal(index):
    assert SeriesIndex.from_bytes(index.to_bytes()) == index


@given(attributes=st.lists(st.dictionaries(st.text("0123456789ABCDEF"), st.text() | numbers)))
def test_metadata_comes_back_equal_and_can_be_cut_by_instance(attributes):
    data = metadata_bytes(attributes)

    assert split_metadata(data) == attributes
    assert [orjson.loads(line) for line in metadata_lines(data)] == attributes
    assert orjson.loads(gzip.decompress(data)) == attributes


def test_metadata_may_come_from_a_generator():
    assert metadata_bytes({"a": n} for n in range(3)) == metadata_bytes(
        [{"a": n} for n in range(3)]
    )


def test_the_same_content_gives_the_same_bytes_whatever_the_order_of_bulk(tmp_path):
    index = index_of(write_pack(tmp_path / "pack.zip", [b"x"]))
    one, other = (
        replace(index, instances=(replace(index.instances[0], bulk=bulk),))
        for bulk in ({"A": (1, 2), "B": (3, 4)}, {"B": (3, 4), "A": (1, 2)})
    )

    assert one.to_bytes() == other.to_bytes()
    assert one.to_bytes()[4:8] == b"\0\0\0\0"  # no time of writing


def test_another_version_is_named(tmp_path):
    index = index_of(write_pack(tmp_path / "pack.zip", [b"x"]))
    document = orjson.loads(gzip.decompress(index.to_bytes()))
    assert document["version"] == 2

    newer = gzip.compress(orjson.dumps({**document, "version": 3}))

    with pytest.raises(DocumentUnreadable, match="version 3; this program reads up to version 2"):
        SeriesIndex.from_bytes(newer)


def damaged_documents() -> list[bytes]:
    good = metadata_bytes([{"a": 1}])
    return [
        b"",
        b"{}",
        good[:-9],
        good[:20] + b"\xff" + good[21:],
        good + good,
        gzip.compress(b"{"),
        gzip.compress(b"3"),
        gzip.compress(b"{}"),
        gzip.compress(b'{"version": 2}'),
        gzip.compress(b'{"version": 2, "instances": [3]}'),
    ]


@pytest.mark.parametrize("data", damaged_documents())
def test_a_damaged_document_is_refused(data):
    with pytest.raises(DocumentUnreadable):
        SeriesIndex.from_bytes(data)
    with pytest.raises(DocumentUnreadable):
        split_metadata(data)
    with pytest.raises(DocumentUnreadable):
        metadata_lines(data)
