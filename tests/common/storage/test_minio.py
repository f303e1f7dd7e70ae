"""What only the MinIO store promises."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from common.storage import StoreUnavailable, open_store
from common.storage.minio import MinioAddress, MinioStore


@pytest.fixture
def store(minio_url: str) -> Iterator[MinioStore]:
    url = urlunsplit(urlsplit(minio_url)._replace(path=f"/test-{uuid4().hex}"))
    opened = open_store(url)
    assert isinstance(opened, MinioStore)
    opened.check()
    yield opened
    opened.abandon_uploads(timedelta(0))
    with opened._translated("") as client:
        for stat in list(opened.list("")):
            opened.delete(stat.key)
        client.remove_bucket(opened.address.bucket)


def changed(store: MinioStore, **fields: object) -> MinioStore:
    address = {**vars(store.address), **fields}
    return MinioStore(MinioAddress(**address), connect_timeout_s=1, read_timeout_s=1, retries=1)


@pytest.mark.minio
@pytest.mark.parametrize("wrong", [{"secret_key": "not-the-secret"}, {"access_key": "nobody"}])
def test_wrong_credentials_are_told_in_words_without_the_secret(store, wrong):
    other = changed(store, **wrong)

    for use in (other.check, lambda: other.put_bytes("a", b"x"), lambda: other.head("a")):
        with pytest.raises(StoreUnavailable, match="refuses this key and secret") as caught:
            use()
        assert caught.value.facts["reason"] == "refused"
        assert "not-the-secret" not in str(caught.value)
    assert "not-the-secret" not in repr(other.address)


@pytest.mark.minio
def test_uploads_of_killed_processes_are_found_and_removed(store):
    with store._translated("") as client:
        for number in range(3):
            key = f"archive/H1/{number}.zip"
            upload = client._create_multipart_upload(store.address.bucket, key, {})
            client._upload_part(store.address.bucket, key, b"x" * 5 * 2**20, {}, upload, 1)

    assert store.abandon_uploads(timedelta(hours=1)) == 0
    assert store.abandon_uploads(timedelta(0)) == 3
    assert store.abandon_uploads(timedelta(0)) == 0


@pytest.mark.minio
def test_a_bucket_that_vanished_is_told(store):
    other = changed(store)
    other.put_bytes("a", b"x")
    other.delete("a")
    with store._translated("") as client:
        client.remove_bucket(store.address.bucket)

    with pytest.raises(StoreUnavailable, match="has no bucket"):
        other.put_bytes("b", b"x")
    store.check()
    assert other.put_bytes("b", b"x").size == 1


@pytest.mark.minio
def test_one_connection_is_used_for_many_whole_reads(store):
    store.put_bytes("a", os.urandom(100_000))
    with store._translated("") as client:
        pool = client._http.connection_from_url(
            f"http://{store.address.endpoint}"  # plain http in tests
        )
    before = pool.num_connections

    for _ in range(20):
        assert len(store.get_bytes("a")) == 100_000
        assert len(b"".join(store.stream("a", offset=10, length=10))) == 10

    assert pool.num_connections == before


@pytest.mark.minio
@pytest.mark.slow
def test_a_server_killed_in_the_middle_is_told_and_used_again_when_back(minio_server):
    port = urlsplit(minio_server.url).port
    store = MinioStore(
        MinioAddress(f"127.0.0.1:{port}", "bucket", "imaging", "imaging-secret", secure=False),
        connect_timeout_s=1, read_timeout_s=2, retries=1,
    )  # fmt: skip
    content = os.urandom(40_000_000)
    store.put_bytes("a", content)
    chunks = store.stream("a", chunk_bytes=65_536)
    next(chunks)

    minio_server.kill()

    with pytest.raises(StoreUnavailable):
        b"".join(chunks)
    for use in (lambda: store.head("a"), store.check, lambda: store.put_bytes("b", b"x")):
        with pytest.raises(StoreUnavailable) as caught:
            use()
        assert caught.value.facts["reason"] == "unreachable"
    minio_server.start()
    assert store.get_bytes("a") == content


def test_a_server_that_is_not_there_is_told_within_seconds():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = MinioAddress(
            f"127.0.0.1:{probe.getsockname()[1]}", "bucket", "key", "secret-12", False
        )
    store = MinioStore(address, retries=1)
    start = time.monotonic()

    for use in (store.check, lambda: store.get_bytes("a")):
        with pytest.raises(StoreUnavailable) as caught:
            use()
        assert caught.value.facts["reason"] == "unreachable"

    assert time.monotonic() - start < 5


def test_a_server_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = MinioAddress(
            f"127.0.0.1:{silent.getsockname()[1]}", "bucket", "key", "secret-12", False
        )
        store = MinioStore(address, connect_timeout_s=0.3, read_timeout_s=0.3, retries=0)
        start = time.monotonic()

        with pytest.raises(StoreUnavailable):
            store.get_bytes("a")

    assert time.monotonic() - start < 5


def test_the_address_is_read_whole():
    store = open_store("minio://a%40b:s%2Fx@[::1]:9000/bucket?secure=0&region=cn")

    assert isinstance(store, MinioStore)
    assert store.address == MinioAddress("[::1]:9000", "bucket", "a@b", "s/x", False, "cn")
    assert open_store("minio://a:b@host/bucket").address.secure is True
