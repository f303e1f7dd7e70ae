"""Keys of the archive: built and read back."""

from __future__ import annotations

import pytest

from common.archive import keys

PREFIX = keys.revision_prefix(
    institution_code="H001",
    study_instance_uid="1.2.840.1",
    series_instance_uid="1.2.840.1.2",
    number=7,
    pack_digest="0123456789abcdef" + "f" * 48,
)


def test_the_names_of_a_revision():
    assert PREFIX == "archive/H001/1.2.840.1/1.2.840.1.2/000007-0123456789abcdef"
    assert keys.pack_key(PREFIX) == PREFIX + ".zip"
    assert keys.metadata_key(PREFIX) == PREFIX + ".metadata.json.gz"
    assert keys.index_key(PREFIX) == PREFIX + ".index.json.gz"


def test_the_other_names():
    certificate = keys.certificate_key("H001", "1.2", 3)
    assert certificate == "archive/H001/1.2/certificate-000003.json"
    assert keys.quarantine_key("H001", "ab" * 32) == f"quarantine/H001/{'ab' * 32}.dcm"
    assert keys.institution_key("H001") == "institutions/H001.json"


@pytest.mark.parametrize("name", [keys.pack_key, keys.metadata_key, keys.index_key])
def test_a_revision_is_read_back_from_each_of_its_keys(name):
    found = keys.parse_revision_key(name(PREFIX))

    assert found is not None
    assert found.prefix == PREFIX
    assert (found.institution_code, found.number) == ("H001", 7)
    assert (found.study_instance_uid, found.series_instance_uid) == ("1.2.840.1", "1.2.840.1.2")
    assert found.digest_start == "0123456789abcdef"
    assert found.is_pack == (name is keys.pack_key)
    assert found.is_index == (name is keys.index_key)


def test_a_number_beyond_six_digits_is_read_back():
    prefix = PREFIX.replace("000007", "1234567")

    found = keys.parse_revision_key(keys.pack_key(prefix))

    assert found is not None
    assert found.number == 1_234_567
    assert found.prefix == prefix


@pytest.mark.parametrize(
    "key",
    [
        "",
        PREFIX,
        PREFIX + ".zip.tmp",
        "x" + PREFIX + ".zip",
        PREFIX.replace("archive", "other") + ".zip",
        PREFIX[:-1] + ".zip",
        "archive/H001/1.2/certificate-000003.json",
        "quarantine/H001/ab.dcm",
        PREFIX + ".zip\n",
    ],
)
def test_another_key_is_no_revision(key):
    assert keys.parse_revision_key(key) is None
