"""The one object store of this process, from the settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings

from .files import FileStore
from .minio import MinioAddress, MinioStore
from .port import ObjectStore


def object_store() -> ObjectStore:
    """The store of ``OBJECT_STORE_URL``; the same object at each call of a process."""
    return _store_of(settings.OBJECT_STORE_URL, settings.ENV.web_threads)


def open_store(url: str, *, threads: int = 16) -> FileStore | MinioStore:
    """The store of ``file:///DIR`` or ``minio://KEY:SECRET@HOST:PORT/BUCKET?secure=0``; opens nothing yet.

    Raises:
        ValueError: another kind of address.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/"):
        return FileStore(Path(unquote(parts.path)))
    bucket = parts.path.strip("/")
    if parts.scheme != "minio" or not parts.hostname or not bucket:
        raise ValueError("not an object store address")
    query = parse_qs(parts.query)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = MinioAddress(
        endpoint=f"{host}:{parts.port}" if parts.port else host,
        bucket=bucket,
        access_key=unquote(parts.username or ""),
        secret_key=unquote(parts.password or ""),
        secure=query.get("secure", ["1"])[0].lower() not in {"0", "false", "no"},
        region=query.get("region", [None])[0],
    )
    return MinioStore(address, connections=threads + 8)


@lru_cache(maxsize=4)
def _store_of(url: str, threads: int) -> ObjectStore:
    return open_store(url, threads=threads)
