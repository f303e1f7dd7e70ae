"""A hospital that is a directory: the same pull, the same proof."""

from __future__ import annotations

import os
from pathlib import Path

from sharing.models import Quarantined, Study
from tests.support.pulling import SERIES, archived, discover, instance, run_due, sha256


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1_600_000_000, 1_600_000_000))  # long since written


def test_a_folder_is_pulled_nested_or_flat_and_what_is_no_dicom_is_left(
    archive, make_hospital, tmp_path
):
    folder = tmp_path / "pacs"
    first, second = instance(1), instance(2)
    put(folder / "a.dcm", first)
    put(folder / "2024" / "05" / "IM0001", second)
    put(folder / "letter.txt", b"not an image")
    institution = make_hospital("F1", folder=str(folder))

    discover(institution.pk)
    run_due(institution.pk)

    assert archived() == {f"{SERIES}.1": sha256(first), f"{SERIES}.2": sha256(second)}
    assert Study.objects.get().state == "archived"
    assert not Quarantined.objects.exists()


def test_two_files_of_one_uid_are_a_case(archive, make_hospital, tmp_path):
    folder = tmp_path / "pacs"
    one, other = instance(1), instance(1, comment="edited")
    put(folder / "a.dcm", one)
    put(folder / "b.dcm", other)
    institution = make_hospital("F1", folder=str(folder))

    discover(institution.pk)
    run_due(institution.pk)

    (stored,) = archived().values()
    case = Quarantined.objects.get()
    assert case.reason == "conflict"
    assert {stored, case.sha256} == {sha256(one), sha256(other)}
