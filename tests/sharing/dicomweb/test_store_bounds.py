"""What a store request may not do: fill the memory or the disk, pass for pictures, undo a deletion."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest
from django.db import connection
from django.utils import timezone

from common.dicom import compose
from common.storage import object_store
from sharing.dicomweb import stow
from sharing.models import Deletion, Series, Study
from sharing.services import deleting, holding, indexing
from sharing.services.locks import PURGE, if_free
from sharing.services.storing import request, rows
from tests.sharing.dicomweb.conftest import Province
from tests.sharing.dicomweb.test_delete import delete, uids
from tests.support import archive
from tests.support.pulling import SERIES, STUDY, instance
from tests.support.storing import JSON, Sender, described, failures, multipart, post_report, report

pytestmark = pytest.mark.django_db(transaction=True)

METADATA, OCTETS = "application/dicom+json", "application/octet-stream"
OURS = {"sec-fetch-site": "same-origin"}


# -- memory and disk -------------------------------------------------------------------------------


def test_metadata_are_bounded_over_all_parts_of_a_request(sender: Sender, monkeypatch: Any) -> None:
    attributes, _ = described()
    document = orjson.dumps([attributes])
    monkeypatch.setattr(stow, "MOST_METADATA_BYTES", 2 * len(document))

    answer = sender.post(multipart(*[document] * 3, types=(METADATA,) * 3), content_type=JSON)

    assert answer.status_code == 413
    assert not Study.objects.exists()


@pytest.mark.parametrize("value", ["{}", "[]", "0"])
def test_no_endless_list_of_data_sets_is_answered_one_by_one(
    sender: Sender, monkeypatch: Any, value: str
) -> None:
    monkeypatch.setattr(stow, "MOST_PARTS", 1_000)
    many = f"[{','.join([value] * 1_001)}]".encode()

    answer = sender.post(many, content_type=METADATA)

    assert answer.status_code == 413
    assert len(answer.content) < 1_000


def test_metadata_of_very_many_values_are_refused_before_they_are_read(
    sender: Sender, monkeypatch: Any
) -> None:
    monkeypatch.setattr(stow, "MOST_METADATA_NODES", 1_000)

    answer = sender.post(b"[" + b"[" * 1_001 + b"]" * 1_002, content_type=METADATA)

    assert answer.status_code == 413


def test_one_part_that_many_values_name_does_not_fill_the_memory(
    sender: Sender, monkeypatch: Any
) -> None:
    attributes, pixels = described()
    monkeypatch.setattr(compose, "MAX_ALL_BULK_BYTES", 3 * len(pixels))
    attributes["00110010"] = {"vr": "LO", "Value": ["TEST"]}
    for number in range(4):
        attributes[f"0011100{number}"] = {"vr": "OB", "BulkDataURI": "pixels/1"}
    body = multipart(
        orjson.dumps([attributes]), pixels, types=(METADATA, OCTETS), locations=("", "pixels/1")
    )

    answer = sender.post(body, content_type=JSON)

    assert answer.status_code == 409
    assert not Study.objects.exists()


def test_one_part_that_many_data_sets_name_does_not_fill_the_disk(
    sender: Sender, settings: Any
) -> None:
    attributes, pixels = described()
    twenty = [
        attributes | {"00080018": {"vr": "UI", "Value": [f"{SERIES}.{number}"]}}
        for number in range(1, 21)
    ]
    body = multipart(
        orjson.dumps(twenty), pixels, types=(METADATA, OCTETS), locations=("", "pixels/1")
    )
    settings.STORE_MAX_BYTES = len(body)

    answer = sender.post(body, content_type=JSON)

    assert answer.status_code == 202
    stored = len(answer.json()["00081199"]["Value"])
    assert stored == len(body) // len(pixels)
    assert len(failures(answer)) == 20 - stored


def test_headers_that_are_too_large_together_are_refused_and_the_first_are_stored(
    sender: Sender, monkeypatch: Any
) -> None:
    monkeypatch.setattr(request, "MOST_HEADER_BYTES", 1)

    answer = sender.store(instance(1), instance(2))

    assert answer.status_code == 202
    assert failures(answer) == {f"{SERIES}.2": 0xA700}


# -- readers ---------------------------------------------------------------------------------------


def test_a_report_that_says_it_is_a_picture_is_refused(province: Province, reader: Any) -> None:
    archive.make_indexed_study(province.partner, STUDY)
    data = instance(
        1, series="1.2.826.5", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Modality="CT"
    )

    answer = post_report(reader, data, **OURS)

    assert answer.status_code == 409
    assert Study.objects.get().institution == province.partner


def test_a_reader_adds_nothing_to_a_series_of_pictures(
    province: Province, sender: Sender, reader: Any
) -> None:
    sender.store(instance(1))
    data = instance(2, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Modality="SR")

    into_pictures = post_report(reader, data, **OURS)
    beside_them = post_report(reader, report(), **OURS)

    assert into_pictures.status_code == 409
    assert beside_them.status_code == 200
    assert Series.objects.get(series_instance_uid=SERIES).instance_count == 1


# -- deletions -------------------------------------------------------------------------------------


def deletion_of(province: Province) -> Deletion:
    now = timezone.now()
    return Deletion.objects.create(
        **uids(province), study_pk=1, reason="test", deleted_by="x", deleted_at=now, purge_after=now
    )


def test_what_was_refused_for_a_deletion_does_not_lie_about_until_the_purge(sender: Sender) -> None:
    sender.store(instance(1))
    delete(sender)
    before = [stat.key for stat in object_store().list("incoming/")]

    answer = sender.store(instance(2))

    assert answer.status_code == 409
    assert [stat.key for stat in object_store().list("incoming/")] == before


def test_a_deletion_in_the_moment_of_a_store_is_not_undone_by_it(
    sender: Sender, province: Province, monkeypatch: Any
) -> None:
    def meanwhile(name: str) -> list[str]:
        deletion_of(province)
        return []

    monkeypatch.setattr(rows, "name_grams", meanwhile)

    answer = sender.store(instance(1))

    assert answer.status_code == 409
    assert not Study.objects.exists()


def test_a_deletion_in_the_moment_of_a_discovery_is_not_undone_by_it(
    province: Province, monkeypatch: Any
) -> None:
    def meanwhile(name: str) -> list[str]:
        deletion_of(province)
        return []

    monkeypatch.setattr(indexing, "name_grams", meanwhile)
    row = {"0020000D": {"vr": "UI", "Value": [STUDY]}}

    assert indexing.write_index_row(institution_id=province.near.pk, row=row) is None
    assert not Study.objects.exists()


def test_a_hold_in_the_moment_of_a_purge_keeps_the_bytes(
    sender: Sender, province: Province, monkeypatch: Any
) -> None:
    sender.store(instance(1))
    delete(sender)
    Deletion.objects.update(purge_after="2020-01-01T00:00:00Z")
    find, looks = holding.find, []

    def meanwhile(**study: Any) -> Any:
        found = find(**study)
        if not looks:
            holding.set_hold(actor="court", reference="(2026)1", **study)
        looks.append(found)
        return found

    monkeypatch.setattr(holding, "find", meanwhile)

    assert deleting.purge_due() == 0
    assert looks[0] is None
    assert Deletion.objects.get().purged_at is None
    assert any(stat.key.endswith(".zip") for stat in object_store().list("archive/"))


def test_a_purge_leaves_no_copy_in_the_cache(sender: Sender, monkeypatch: Any) -> None:
    sender.store(instance(1))
    delete(sender)
    Deletion.objects.update(purge_after="2020-01-01T00:00:00Z")
    packs = {stat.key for stat in object_store().list("archive/") if stat.key.endswith(".zip")}
    forgotten: set[str] = set()
    monkeypatch.setattr(deleting, "forget_object", forgotten.add)

    deleting.purge_due()

    assert packs
    assert packs <= forgotten


def test_two_purges_never_run_at_once(sender: Sender) -> None:
    sender.store(instance(1))
    delete(sender)
    Deletion.objects.update(purge_after="2020-01-01T00:00:00Z")
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with if_free(PURGE, 0):
            held.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(10)

    assert deleting.purge_due() == 0
    done.set()
    thread.join()
    assert deleting.purge_due() == 1
