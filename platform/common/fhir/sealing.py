"""Search values that speak of a person, sealed, so that the links of a bundle can carry them (policy P5).

A link is an address that we make: it stands in logs of proxies and in histories of browsers.
"""

from __future__ import annotations

import base64
import binascii

import orjson

from common.fhir.errors import FHIRRefusal
from common.privacy import Undecipherable, decrypt, encrypt

SEALED = "_sealed"
Pairs = list[tuple[str, str]]


def seal(pairs: Pairs, *, actor_id: int) -> str:
    """Names and values as one opaque text, good for this account only."""
    blob = encrypt(orjson.dumps(pairs), context=_context(actor_id))
    return base64.urlsafe_b64encode(blob).decode().rstrip("=")


def unseal(text: str, *, actor_id: int) -> Pairs:
    """What was sealed.

    Raises:
        FHIRRefusal: it was not sealed here, or for another account.
    """
    try:
        blob = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        pairs = orjson.loads(decrypt(blob, context=_context(actor_id)))
    except (Undecipherable, binascii.Error, ValueError) as error:
        raise FHIRRefusal(
            "The link is not one of ours, or no longer good: search again."
        ) from error
    return [(str(name), str(value)) for name, value in pairs]


def _context(actor_id: int) -> str:
    return f"fhir.search {actor_id}"
