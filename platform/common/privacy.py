"""Identities at rest and on the screen: encrypted, found by keyed hash, shown masked.

An encrypted value is ``version (1) · key id (4) · nonce (12) · cipher text and tag``. The version names the cipher,
the key id one of ``FIELD_KEYS``: the first encrypts, all decrypt, so a key is rotated by putting a new one in front.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from common.errors import DomainError, Kind

_NONCE = 12
_TAG = 16
_KEY_ID = 4
_HEAD = 1 + _KEY_ID + _NONCE


class Undecipherable(DomainError):
    """An encrypted value cannot be read: its key is not among FIELD_KEYS, or it was altered."""

    code = "undecipherable"
    kind = Kind.UNAVAILABLE


Seal = Callable[[bytes, bytes, bytes, bytes], bytes]  # key, nonce, data, context


def _aes_seal(key: bytes, nonce: bytes, data: bytes, context: bytes) -> bytes:
    return AESGCM(key).encrypt(nonce, data, context)


def _aes_open(key: bytes, nonce: bytes, data: bytes, context: bytes) -> bytes:
    return AESGCM(key).decrypt(nonce, data, context)


def _sm4_seal(key: bytes, nonce: bytes, data: bytes, context: bytes) -> bytes:
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(context)
    return encryptor.update(data) + encryptor.finalize() + encryptor.tag


def _sm4_open(key: bytes, nonce: bytes, data: bytes, context: bytes) -> bytes:
    body, tag = data[:-_TAG], data[-_TAG:]
    decryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(context)
    return decryptor.update(body) + decryptor.finalize()


# Version byte → name, key bytes, seal, open. A cipher is never removed while values of it exist (policy P6).
_CIPHERS: dict[int, tuple[str, int, Seal, Seal]] = {
    1: ("aes-256-gcm", 32, _aes_seal, _aes_open),
    2: ("sm4-gcm", 16, _sm4_seal, _sm4_open),
}


def _version_in_use() -> int:
    wanted = getattr(settings, "FIELD_CIPHER", "aes-256-gcm")
    for version, (name, *_rest) in _CIPHERS.items():
        if name == wanted:
            return version
    raise ValueError(f"FIELD_CIPHER is {wanted}; known: {[c[0] for c in _CIPHERS.values()]}")


@lru_cache(maxsize=64)
def _derived(secret: str, purpose: str, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt=None, info=f"imaging {purpose}".encode()).derive(
        secret.encode()
    )


def _key_id(secret: str) -> bytes:
    return _derived(secret, "key id", _KEY_ID)


def encrypt(value: bytes | str, *, context: str = "") -> bytes:
    """Encrypt with the newest key. With a ``context`` (table and column) the value opens only there."""
    data = value.encode() if isinstance(value, str) else value
    version = _version_in_use()
    name, length, seal, _open = _CIPHERS[version]
    secret = settings.FIELD_KEYS[0]
    nonce = os.urandom(_NONCE)
    head = bytes([version]) + _key_id(secret) + nonce
    return head + seal(_derived(secret, name, length), nonce, data, context.encode())


def decrypt(stored: bytes | bytearray | memoryview, *, context: str = "") -> bytes:
    """The value that ``encrypt`` was given, as bytes.

    Raises:
        Undecipherable: no such key any more, another context, or altered bytes.
    """
    blob = bytes(stored)
    if len(blob) < _HEAD + _TAG or blob[0] not in _CIPHERS:
        raise Undecipherable
    name, length, _seal, open_ = _CIPHERS[blob[0]]
    nonce, data = blob[1 + _KEY_ID : _HEAD], blob[_HEAD:]
    for secret in settings.FIELD_KEYS:
        if _key_id(secret) == blob[1 : 1 + _KEY_ID]:
            try:
                return open_(_derived(secret, name, length), nonce, data, context.encode())
            except (InvalidTag, UnsupportedAlgorithm) as error:
                raise Undecipherable from error
    raise Undecipherable


def decrypt_text(stored: bytes | bytearray | memoryview, *, context: str = "") -> str:
    """The text that ``encrypt`` was given."""
    return decrypt(stored, context=context).decode()


def needs_rotation(stored: bytes | bytearray | memoryview) -> bool:
    """Whether the value is of an older key or another cipher than ``encrypt`` would use now."""
    head = bytes(stored)[: 1 + _KEY_ID]
    return head != bytes([_version_in_use()]) + _key_id(settings.FIELD_KEYS[0])


def rotated(stored: bytes | bytearray | memoryview, *, context: str = "") -> bytes:
    """The same value under the newest key; unchanged if it is already."""
    if not needs_rotation(stored):
        return bytes(stored)
    return encrypt(decrypt(stored, context=context), context=context)


_rotations: dict[str, Callable[[], int]] = {}


def on_rotation(name: str, rotate: Callable[[], int]) -> None:
    """Announce who encrypts its columns anew when keys change; ``rotate`` says how many values it did."""
    _rotations[name] = rotate


def rotate_announced() -> dict[str, int]:
    """Have everybody who was announced encrypt anew; how many values of each.

    Raises:
        Undecipherable: the key of one of them is not among FIELD_KEYS any more.
    """
    return {name: rotate() for name, rotate in sorted(_rotations.items())}


def lookup_hash(text: str, *, purpose: str = "") -> bytes:
    """The keyed hash (HMAC-SHA-256) by which an encrypted text is found again.

    Spelling that does not matter is levelled first: width, case, blanks and hyphens. Another ``purpose`` gives another
    hash, so that a phone and a document with the same digits do not meet.
    """
    levelled = unicodedata.normalize("NFKC", text).upper()
    levelled = "".join(c for c in levelled if not c.isspace() and c != "-")
    key = _derived(settings.LOOKUP_KEY, f"lookup {purpose}", 32)
    return hmac.new(key, levelled.encode(), hashlib.sha256).digest()


def _masked(text: str, first: int, last: int) -> str:
    if len(text) <= first + last:
        return "*" * len(text)  # too short to show both ends without showing it all
    return text[:first] + "*" * (len(text) - first - last) + text[-last:]


def mask_resident_id(number: str) -> str:
    """``990***********0014`` (policy P5)."""
    return _masked(number.strip(), 3, 4)


def mask_phone(number: str) -> str:
    """``138****5678`` (policy P5)."""
    return _masked(number.strip(), 3, 4)


def mask_document(number: str) -> str:
    """Another document's number (policy P3): the last two characters; its length varies."""
    text = number.strip()
    return "*" * len(text) if len(text) < 6 else "*" * (len(text) - 2) + text[-2:]


def mask_name(name: str) -> str:
    """First character and one star, whatever the length (policy P5): 张*."""
    text = name.strip()
    return f"{text[0]}*" if text else ""


def seal(data: bytes, *, purpose: str) -> str:
    """An HMAC-SHA-256 in hexadecimal, by a key that the database does not hold: whoever can only write there cannot
    make it. Kept as long as ``LOOKUP_KEY``, which never changes."""
    key = _derived(settings.LOOKUP_KEY, f"seal {purpose}", 32)
    return hmac.new(key, data, hashlib.sha256).hexdigest()
