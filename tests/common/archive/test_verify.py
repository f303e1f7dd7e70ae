"""The proof of a pack: every damage is found and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.archive.documents import SeriesIndex
from common.archive.verify import Fault, FaultKind, verify_pack
from common.archive.zip_format import HEADER_BYTES
from common.storage import open_store
from common.storage.files import FileStore
from tests.support.packs import index_of, sha256, write_pack

CONTENTS = [b"first" * 1000, b"second" * 2000, b"third" * 500]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("pack") / "pack.zip", CONTENTS)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "objects")


def kinds(faults: list[Fault]) -> set[tuple[str, str]]:
    return {(fault.kind.value, fault.sop_instance_uid) for fault in faults}


def test_an_undamaged_pack_has_no_faults(store, pack):
    index = index_of(pack)
    store.put_file(index.pack_key, pack.path)

    assert verify_pack(store, index) == []


def test_an_empty_pack_has_no_faults(store, tmp_path):
    empty = write_pack(tmp_path / "empty.zip", [])
    store.put_file("packs/a.zip", empty.path)

    assert verify_pack(store, index_of(empty)) == []


@pytest.mark.minio
def test_a_pack_on_a_real_server_is_proved(pack, minio_url):
    store = open_store(minio_url)
    index = index_of(pack, "verify-test/pack.zip")
    store.put_file(index.pack_key, pack.path)

    assert verify_pack(store, index) == []

    store.put_bytes(index.pack_key, pack.path.read_bytes()[:-1])
    assert {"size", "pack-digest"} <= {kind for kind, _ in kinds(verify_pack(store, index))}
    store.delete(index.pack_key)
    assert kinds(verify_pack(store, index)) == {("missing", "")}


def test_a_flipped_bit_names_its_instance(store, pack):
    data = bytearray(pack.path.read_bytes())
    data[pack.entries[1].offset + 5] ^= 1
    index = index_of(pack)
    store.put_bytes(index.pack_key, bytes(data))

    assert kinds(verify_pack(store, index)) == {
        ("pack-digest", ""),
        ("instance-digest", "1.2.1"),
        ("directory", "1.2.1"),
    }


def test_a_cut_off_pack_names_what_is_lost(store, pack):
    index = index_of(pack)
    store.put_bytes(index.pack_key, pack.path.read_bytes()[: pack.entries[1].offset + 3])

    assert kinds(verify_pack(store, index)) >= {
        ("size", ""),
        ("pack-digest", ""),
        ("instance-digest", "1.2.1"),
        ("instance-digest", "1.2.2"),
        ("directory", ""),
    }


def test_an_index_that_says_otherwise_is_found(store, pack):
    index = index_of(pack)
    store.put_file(index.pack_key, pack.path)
    first, second, third = index.instances

    shifted = replace(index, instances=(replace(first, offset=first.offset + 1), second, third))
    fewer = replace(index, instances=(first, second))
    renamed = replace(index, instances=(first, second, replace(third, sop_instance_uid="9.9")))
    twice = replace(index, instances=(first, second, third, third))
    outside = replace(index, instances=(first, second, replace(third, size=10**9)))
    unordered = replace(index, instances=(third, first, second))

    assert ("instance-digest", "1.2.0") in kinds(verify_pack(store, shifted))
    assert ("directory", "") in kinds(verify_pack(store, fewer))
    assert ("directory", "9.9") in kinds(verify_pack(store, renamed))
    assert ("index", "1.2.2") in kinds(verify_pack(store, twice))
    assert kinds(verify_pack(store, outside)) == {("index", "1.2.2")}
    assert verify_pack(store, unordered) == []


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_no_changed_bit_goes_unnoticed(tmp_path_factory, pack, position, bit):
    data = bytearray(pack.path.read_bytes())
    data[position % len(data)] ^= 1 << bit
    store = FileStore(tmp_path_factory.getbasetemp() / "flipped")
    index = index_of(pack)
    store.put_bytes(index.pack_key, bytes(data))

    found = kinds(verify_pack(store, index))

    assert (FaultKind.PACK_DIGEST.value, "") in found
    for entry in pack.entries:
        if 0 <= position % len(data) - entry.offset < entry.size:
            assert ("instance-digest", entry.name.removesuffix(".dcm")) in found


@given(chunk=st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_chunks_of_any_size_prove_the_same(tmp_path_factory, chunk):
    folder = tmp_path_factory.mktemp("small")
    small = write_pack(folder / "small.zip", [b"", b"a", b"b" * HEADER_BYTES, b"", b"c" * 50])
    store = FileStore(folder / "objects")
    index = index_of(small)
    store.put_file(index.pack_key, small.path)
    stream = store.stream
    store.stream = lambda key: stream(key, chunk_bytes=chunk)  # type: ignore[method-assign]

    assert verify_pack(store, index) == []


def test_a_pack_of_the_first_version_is_proved_by_the_digest_of_its_file(store, pack):
    data = pack.path.read_bytes()
    index = index_of(pack, version=1, pack_digest=sha256(data))
    assert SeriesIndex.from_bytes(index.to_bytes()) == index
    store.put_bytes(index.pack_key, data)

    assert verify_pack(store, index) == []

    store.put_bytes(index.pack_key, data[:-1] + b"x")
    assert ("pack-digest", "") in kinds(verify_pack(store, index))


def test_headers_moved_into_the_directory_have_another_digest(store, pack):
    """Bytes that hash alike in another division are another pack."""
    index = index_of(pack)
    store.put_bytes(index.pack_key, pack.path.read_bytes())

    found = kinds(verify_pack(store, replace(index, instances=())))

    assert ("pack-digest", "") in found
