"""Objects by key: one port, two stores (MinIO and files), and a local cache of hot packs."""

from .errors import BadKey, ObjectMissing, StoreUnavailable
from .factory import object_store, open_store
from .port import ByteStream, ObjectStat, ObjectStore

__all__ = [
    "BadKey",
    "ByteStream",
    "ObjectMissing",
    "ObjectStat",
    "ObjectStore",
    "StoreUnavailable",
    "object_store",
    "open_store",
]
