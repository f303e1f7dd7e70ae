"""Identities at rest and on the screen."""

from __future__ import annotations

import pytest

from common import privacy

OLD, NEW = "an-old-key-an-old-key-an-old-key", "a-new-key-a-new-key-a-new-key-a-new"


@pytest.fixture(params=["aes-256-gcm", "sm4-gcm"], ids=["P6-aes", "P6-sm4"])
def cipher(request, settings):
    settings.FIELD_CIPHER = request.param
    return request.param


def test_what_is_encrypted_is_read_back_and_never_twice_the_same(cipher):
    first, second = privacy.encrypt("张三"), privacy.encrypt("张三")

    assert first != second
    assert privacy.decrypt_text(first) == "张三"
    assert privacy.decrypt(memoryview(second)) == "张三".encode()


def test_every_altered_byte_is_noticed(cipher):
    stored = privacy.encrypt("secret")

    for place in range(len(stored)):
        altered = stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]
        with pytest.raises(privacy.Undecipherable):
            privacy.decrypt(altered)


def test_a_value_opens_only_in_its_context(cipher):
    stored = privacy.encrypt("secret", context="endpoint.secret")

    assert privacy.decrypt(stored, context="endpoint.secret") == b"secret"
    with pytest.raises(privacy.Undecipherable):
        privacy.decrypt(stored, context="person.phone")


def test_a_key_is_rotated_by_putting_a_new_one_in_front(settings, cipher):
    settings.FIELD_KEYS = (OLD,)
    stored = privacy.encrypt("secret")

    settings.FIELD_KEYS = (NEW, OLD)
    renewed = privacy.rotated(stored)

    assert privacy.decrypt(stored) == b"secret"
    assert privacy.needs_rotation(stored)
    assert not privacy.needs_rotation(renewed)
    settings.FIELD_KEYS = (NEW,)
    assert privacy.decrypt(renewed) == b"secret"
    with pytest.raises(privacy.Undecipherable):
        privacy.decrypt(stored)


def test_a_change_of_cipher_leaves_older_values_readable(settings):
    settings.FIELD_CIPHER = "aes-256-gcm"
    stored = privacy.encrypt("secret")
    settings.FIELD_CIPHER = "sm4-gcm"

    assert privacy.decrypt(stored) == b"secret"
    assert privacy.needs_rotation(stored)
    assert privacy.rotated(stored)[0] == 2


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x09" * 64, b"\x01" * 32])
def test_garbage_is_refused_in_words(garbage):
    with pytest.raises(privacy.Undecipherable, match="cannot be read"):
        privacy.decrypt(garbage)


def test_the_lookup_hash_levels_spelling_and_depends_on_key_and_purpose(settings):
    plain = privacy.lookup_hash("99010119810101002X", purpose="document")

    assert privacy.lookup_hash(" 99010119810101002x", purpose="document") == plain
    assert privacy.lookup_hash("９9010119810101002X", purpose="document") == plain
    assert privacy.lookup_hash("990101198101010029", purpose="document") != plain
    assert privacy.lookup_hash("99010119810101002X", purpose="phone") != plain
    settings.LOOKUP_KEY = "another-lookup-key-another-lookup-key"
    assert privacy.lookup_hash("99010119810101002X", purpose="document") != plain


@pytest.mark.parametrize(
    ("mask", "text", "shown"),
    [
        pytest.param(
            privacy.mask_resident_id, "990101200001010014", "990***********0014", id="P5-id"
        ),
        pytest.param(privacy.mask_phone, "13812345678", "138****5678", id="P5-phone"),
        pytest.param(privacy.mask_phone, "5678", "****", id="P5-too-short-to-show-ends"),
        pytest.param(privacy.mask_name, "张三丰", "张*", id="P5-name"),
        pytest.param(privacy.mask_name, "", "", id="P5-no-name"),
        pytest.param(privacy.mask_document, "E12345678", "*******78", id="P3-passport"),
        pytest.param(privacy.mask_document, "E1234", "*****", id="P3-short"),
    ],
)
def test_the_masks_of_the_policy(mask, text, shown):
    assert mask(text) == shown
