"""The object store on a MinIO server, by plain S3 calls that every S3 server has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, cast

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError

from .errors import ObjectMissing, StoreUnavailable
from .port import (
    BINARY,
    MIB,
    ByteStream,
    ObjectStat,
    Readable,
    checked_key,
    checked_prefix,
    checked_range,
)

PART_BYTES = 5 * MIB  # S3's least; an upload holds two in memory; 10,000 parts make 48 GiB
_MISSING = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
_REFUSED = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthorizationHeaderMalformed",
    "RequestTimeTooSkewed",
    "AllAccessDisabled",
    "ExpiredToken",
}


@dataclass(frozen=True)
class MinioAddress:
    """Where the bucket is and who asks; the secret does not show in ``repr``."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    secure: bool = True
    region: str | None = None


class MinioStore:
    """One bucket, made when it is missing.

    Bodies cannot be damaged on the way in unnoticed: the client signs their SHA-256, or over TLS sends
    their MD5, and the server refuses what differs; the size is compared after each upload. What comes
    out must have the announced length. Usable from many threads, and again after a fork.
    """

    def __init__(
        self,
        address: MinioAddress,
        *,
        connections: int = 32,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 60,
        retries: int = 3,
    ) -> None:
        self.address = address
        self._connections = connections
        self._timeout = urllib3.Timeout(connect=connect_timeout_s, read=read_timeout_s)
        self._retries = retries
        self._lock = Lock()
        self._client: Minio | None = None
        self._pid = os.getpid()
        self._inherited: list[Minio | None] = []

    def put_file(
        self, key: str, path: Path, *, move: bool = False, content_type: str = BINARY
    ) -> ObjectStat:
        checked_key(key)
        try:
            size = path.stat().st_size
            file = path.open("rb")
        except OSError as error:
            raise StoreUnavailable(
                f"The file to store cannot be read: {error.strerror}.", reason="failed"
            ) from error
        with file:
            stat = self._put(key, file, size, content_type)
        if move:
            path.unlink(missing_ok=True)
        return stat

    def put_bytes(self, key: str, data: bytes, *, content_type: str = BINARY) -> ObjectStat:
        return self._put(checked_key(key), BytesIO(data), len(data), content_type)

    def put_stream(self, key: str, readable: Readable, *, content_type: str = BINARY) -> ObjectStat:
        return self._put(checked_key(key), readable, -1, content_type)

    def get_bytes(self, key: str) -> bytes:
        return b"".join(self.stream(key))

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, chunk_bytes: int = MIB
    ) -> ByteStream:
        checked_range(offset, length)
        checked_key(key)
        if length == 0:
            self.head(key)
            return ByteStream(iter(()), lambda: None)
        try:
            with self._translated(key) as client:
                response = client.get_object(
                    self.address.bucket, key, offset=offset, length=length or 0
                )
        except _RangeBehindEnd:
            return ByteStream(iter(()), lambda: None)
        chunks = response.stream(chunk_bytes, decode_content=False)

        def close() -> None:
            # Unread bytes make the connection useless; a finished one went back to the pool by itself.
            response.close()
            response.release_conn()

        return ByteStream(self._translate_chunks(key, chunks), close)

    def head(self, key: str) -> ObjectStat:
        checked_key(key)
        with self._translated(key) as client:
            found = client.stat_object(self.address.bucket, key)
        return ObjectStat(key, found.size or 0, found.last_modified or datetime.now(UTC))

    def delete(self, key: str) -> None:
        checked_key(key)
        with self._translated(key) as client:
            client.remove_object(self.address.bucket, key)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        return self._list(checked_prefix(prefix))

    def check(self) -> None:
        timeout = urllib3.Timeout(connect=2, read=3)
        client = self._connect(timeout=timeout, retries=0)
        with self._translated("", client):
            _ensure_bucket(client, self.address)

    def abandon_uploads(self, older_than: timedelta) -> int:
        before = datetime.now(UTC) - older_than
        removed = 0
        # The client has no public call for these two S3 requests (ListMultipartUploads, Abort...).
        with self._translated("") as client:
            for upload in self._uploads(client):
                if upload.initiated_time is None or upload.initiated_time <= before:
                    client._abort_multipart_upload(
                        self.address.bucket, upload.object_name, upload.upload_id
                    )
                    removed += 1
        return removed

    def _uploads(self, client: Minio) -> Sequence[Any]:
        found = []
        key_marker = id_marker = None
        while True:
            page = client._list_multipart_uploads(
                self.address.bucket, key_marker=key_marker, upload_id_marker=id_marker
            )
            found += page.uploads
            if not page.is_truncated or not page.uploads:
                return found
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker

    def _put(self, key: str, source: Readable, size: int, content_type: str) -> ObjectStat:
        counted = _Counted(source)
        with self._translated(key) as client:
            client.put_object(
                self.address.bucket,
                key,
                cast(BinaryIO, counted),
                length=size,
                content_type=content_type,
                part_size=PART_BYTES,
                num_parallel_uploads=1,  # more would hold more parts in memory
            )
        stat = self.head(key)
        if stat.size != counted.count:
            raise StoreUnavailable(
                f"{counted.count} bytes were sent, {stat.size} are there.", reason="short"
            )
        return stat

    def _list(self, prefix: str) -> Iterator[ObjectStat]:
        with self._translated("") as client:
            for found in client.list_objects(self.address.bucket, prefix=prefix, recursive=True):
                yield ObjectStat(
                    found.object_name or "",
                    found.size or 0,
                    found.last_modified or datetime.now(UTC),
                )

    def _translate_chunks(self, key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._translated(key):
            yield from chunks

    def _ready_client(self) -> Minio:
        if self._pid != os.getpid():
            # Sockets are the parent's, and its locks may have been held when it forked: kept, not touched.
            self._inherited.append(self._client)
            self._lock, self._client, self._pid = Lock(), None, os.getpid()
        if self._client is None:
            with self._lock:
                if self._client is None:
                    client = self._connect(timeout=self._timeout, retries=self._retries)
                    _ensure_bucket(client, self.address)
                    self._client = client
        return self._client

    def _connect(self, *, timeout: urllib3.Timeout, retries: int) -> Minio:
        pool = urllib3.PoolManager(
            timeout=timeout,
            maxsize=self._connections,
            retries=urllib3.Retry(
                total=retries,
                backoff_factor=0.2,
                status_forcelist=[500, 502, 503, 504],
                respect_retry_after_header=False,  # the waiting stays bounded
                raise_on_status=False,  # so that the server's own words come through
            ),
            cert_reqs="CERT_REQUIRED",
            ca_certs=certifi.where(),
        )
        return Minio(
            self.address.endpoint,
            access_key=self.address.access_key,
            secret_key=self.address.secret_key,
            secure=self.address.secure,
            region=self.address.region,
            http_client=pool,
        )

    @contextmanager
    def _translated(self, key: str, client: Minio | None = None) -> Iterator[Minio]:
        where = f"The object store at {self.address.endpoint}"
        try:
            yield client or self._ready_client()
        except S3Error as error:
            raise self._from_s3(error, key) from error
        except InvalidResponseError as error:
            raise StoreUnavailable(f"{where} gives no S3 answer.", reason="failed") from error
        except HTTPError as error:
            raise StoreUnavailable(
                f"{where} cannot be reached, or broke off ({type(error).__name__}).",
                reason="unreachable",
            ) from error
        except MinioException as error:
            raise StoreUnavailable(
                f"{where} failed ({type(error).__name__}).", reason="failed"
            ) from error

    def _from_s3(self, error: S3Error, key: str) -> Exception:
        where = f"The object store at {self.address.endpoint}"
        if error.code in _MISSING:
            return ObjectMissing(f"There is no object {key}.", key=key)
        if error.code == "InvalidRange":
            return _RangeBehindEnd()
        if error.code in _REFUSED:
            return StoreUnavailable(
                f"{where} refuses this key and secret for bucket {self.address.bucket} ({error.code}).",
                reason="refused",
            )
        if error.code == "NoSuchBucket":
            return StoreUnavailable(
                f"{where} has no bucket {self.address.bucket} any more.", reason="failed"
            )
        full = error.code == "XMinioStorageFull"
        return StoreUnavailable(
            f"{where} failed ({error.code}).", reason="disk-full" if full else "failed"
        )


class _RangeBehindEnd(Exception):
    """The range starts at or behind the object's end."""


class _Counted:
    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = 0

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self.count += len(data)
        return data


def _ensure_bucket(client: Minio, address: MinioAddress) -> None:
    if client.bucket_exists(address.bucket):
        return
    try:
        client.make_bucket(address.bucket, location=address.region)
    except S3Error as error:
        # Another process was faster.
        if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise
