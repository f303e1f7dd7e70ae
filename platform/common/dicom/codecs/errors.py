"""Why pixels do not become what was asked for."""

from __future__ import annotations

from common.errors import DomainError, Kind


class NotDecodable(DomainError):
    """These frames cannot be decoded here: retrieve them as they are stored (transfer-syntax=*)."""

    code = "not-decodable"


class NotEncodable(DomainError):
    """These pixels cannot be given in the transfer syntax that was asked for."""

    code = "not-encodable"


class DecodersBusy(DomainError):
    """All decoders are at work for others: ask again in some seconds."""

    code = "decoders-busy"
    kind = Kind.UNAVAILABLE
    retry_after_s = 5
