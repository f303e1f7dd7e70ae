"""What can go wrong with the object store."""

from __future__ import annotations

from common.errors import DomainError, Kind, NotFound


class ObjectMissing(NotFound):
    """There is no object of this key."""

    code = "object-missing"


class BadKey(DomainError):
    """A key that no object can have."""

    code = "object-key"


class StoreUnavailable(DomainError):
    """The object store does not do its work at the moment; the text says why.

    ``facts["reason"]`` is one of ``disk-full``, ``refused`` (credentials or rights), ``unreachable``,
    ``short`` (fewer bytes than promised) and ``failed``.
    """

    code = "object-store-unavailable"
    kind = Kind.UNAVAILABLE
