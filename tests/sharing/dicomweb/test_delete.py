"""Deletion, its undo, purge and legal hold (ADR 0016)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.audit.models import AuditEntry
from common.storage import object_store
from sharing.models import Deletion, LegalHold, Quarantined, Series, Study
from sharing.services import deleting, holding, indexing, rebuilding
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive
from tests.support.pulling import SERIES, STUDY, instance
from tests.support.storing import Sender, failures, gather_all, read_back

pytestmark = pytest.mark.django_db(transaction=True)

EARLY = "2020-01-01T00:00:00Z"


def delete(sender: Sender, study: str = STUDY, reason: str = "duplicate") -> Any:
    return sender.client.delete(
        f"{sender.root}/studies/{study}?reason={reason}", headers=sender.headers
    )


def uids(province: Province) -> dict[str, Any]:
    return {"institution_id": province.near.pk, "study_instance_uid": STUDY}


def stored_keys() -> list[str]:
    return [stat.key for stat in object_store().list("archive/")]


def purge_now() -> int:
    Deletion.objects.update(purge_after=EARLY)
    return deleting.purge_due()


def test_a_deleted_study_is_gone_from_search_and_retrieval_at_once(sender: Sender) -> None:
    sender.store(instance(1), instance(2))

    answer = delete(sender)

    assert answer.status_code == 202
    assert answer.json()["reason"] == "duplicate"
    assert not Study.objects.exists()
    assert sender.get(f"studies/{STUDY}/metadata").status_code == 404
    assert AuditEntry.objects.get(action="study.delete").detail == {"reason": "duplicate"}


def test_an_undo_within_the_grace_brings_everything_back_under_the_same_number(
    sender: Sender, province: Province
) -> None:
    sender.store(instance(1))
    sender.store(instance(2))
    before = Study.objects.get().pk
    delete(sender)

    call_command("deletion", "undo", "near", STUDY, stdout=io.StringIO())

    study = Study.objects.get()
    assert (study.pk, study.instance_count, study.state) == (before, 2, "archived")
    assert read_back(sender, 2) == instance(2)
    assert Deletion.objects.get().lifted_by == "operator"


def test_after_the_grace_the_bytes_are_gone_and_the_tombstone_stays(
    sender: Sender, province: Province
) -> None:
    sender.store(instance(1))
    sender.store(instance(1, comment="other"))
    delete(sender)

    purged = purge_now()

    assert purged == 1
    assert stored_keys() == [f"archive/near/{STUDY}/deletion.json"]
    assert not list(object_store().list("quarantine/"))
    assert Quarantined.objects.get().state == "settled"
    with pytest.raises(CommandError):
        call_command("deletion", "undo", "near", STUDY)


def test_a_purge_that_was_killed_is_finished_by_the_next(sender: Sender) -> None:
    sender.store(instance(1))
    delete(sender)
    Deletion.objects.update(purged_at=timezone.now(), kept_at=None)

    deleting.purge_due()

    assert stored_keys() == [f"archive/near/{STUDY}/deletion.json"]


def test_a_store_within_the_grace_is_refused_and_after_the_purge_taken(sender: Sender) -> None:
    sender.store(instance(1))
    delete(sender)

    within = sender.store(instance(1))
    purge_now()
    after = sender.store(instance(1))

    assert within.status_code == 409
    assert failures(within) == {f"{SERIES}.1": 0x0124}
    assert after.status_code == 200
    assert read_back(sender, 1) == instance(1)


def test_discovery_passes_over_a_deleted_study(sender: Sender, province: Province) -> None:
    sender.store(instance(1))
    delete(sender)
    row = {"0020000D": {"vr": "UI", "Value": [STUDY]}}

    written = indexing.write_index_row(institution_id=province.near.pk, row=row)

    assert written is None
    assert not Study.objects.exists()


def test_a_rebuilt_index_keeps_the_deletion_and_can_still_undo_it(
    sender: Sender, province: Province
) -> None:
    sender.store(instance(1))
    delete(sender)
    Deletion.objects.all().delete()

    *_, done = rebuilding.rebuild_index()
    rebuilt = Study.objects.exists()
    rebuilding.bring_back(actor="test", **uids(province))

    assert (done.deletions, rebuilt, done.unusable) == (1, False, [])
    assert read_back(sender, 1) == instance(1)


def test_a_rebuilt_index_shows_what_was_stored_after_a_purge(
    sender: Sender, province: Province
) -> None:
    sender.store(instance(1))
    delete(sender)
    purge_now()
    sender.store(instance(2))
    gather_all()
    Series.objects.update(current=None)
    Study.objects.all().delete()
    Deletion.objects.all().delete()

    *_, done = rebuilding.rebuild_index()

    assert done.unusable == []
    assert read_back(sender, 2) == instance(2)


def test_a_legal_hold_refuses_deletion_until_it_is_released(
    sender: Sender, province: Province
) -> None:
    sender.store(instance(1))
    call_command("legal_hold", "set", "near", STUDY, "--reference", "2026-17", stdout=io.StringIO())

    held = delete(sender)
    call_command("legal_hold", "release", "near", STUDY, stdout=io.StringIO())
    released = delete(sender)

    assert (held.status_code, released.status_code) == (409, 202)
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
        "study.hold",
        "study.release",
    }


def test_a_legal_hold_keeps_a_deleted_study_from_being_purged(
    sender: Sender, province: Province
) -> None:
    sender.store(instance(1))
    delete(sender)
    holding.set_hold(actor="test", reference="2026-17", **uids(province))

    assert purge_now() == 0
    assert len(stored_keys()) > 2


def test_a_rebuilt_index_keeps_legal_holds(sender: Sender, province: Province) -> None:
    sender.store(instance(1))
    holding.set_hold(actor="test", reference="2026-17", **uids(province))
    LegalHold.objects.all().delete()

    *_, done = rebuilding.rebuild_index()

    assert done.holds == 1
    assert holding.find(**uids(province)) is not None


@pytest.mark.parametrize("reason", ["", "because", "Zhang%20San"])
def test_a_deletion_names_a_known_reason(sender: Sender, reason: str) -> None:
    sender.store(instance(1))

    assert delete(sender, reason=reason).status_code == 400
    assert Study.objects.exists()


def test_another_institutions_study_cannot_be_deleted(
    sender: Sender, province: Province, client: Any
) -> None:
    partner = Sender(client, archive.make_user("p", "integrator", province.partner))
    partner.store(instance(1))

    assert delete(sender).status_code == 404
    assert delete(Sender(client, sender_user(), "/dicom-web/at/partner")).status_code == 403
    assert Study.objects.exists()


def sender_user() -> Any:
    from common.accounts.models import User

    return User.objects.get(username="pacs")


def test_a_reader_may_not_delete(province: Province, sender: Sender, client: Any) -> None:
    sender.store(instance(1))

    assert delete(Sender(client, province.radiologist)).status_code == 403


def test_a_session_without_proof_of_the_same_origin_may_not_delete(
    province: Province, sender: Sender, client: Any
) -> None:
    sender.store(instance(1))
    client.force_login(archive.make_user("person", "integrator", province.near))

    answer = client.delete(f"/dicom-web/studies/{STUDY}?reason=test")

    assert answer.status_code == 403


def test_deleting_again_answers_the_same(sender: Sender) -> None:
    sender.store(instance(1))

    assert delete(sender).json() == delete(sender).json()


def test_one_deletion_and_one_hold_in_force_for_a_study(province: Province) -> None:
    now = timezone.now()
    for model, values in (
        (Deletion, {"study_pk": 1, "reason": "test", "deleted_by": "x", "deleted_at": now, "purge_after": now}),
        (LegalHold, {"reference": "1", "set_by": "x", "set_at": now}),
    ):  # fmt: skip
        model.objects.create(**uids(province), **values)
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.create(**uids(province), **values)


def test_who_lifts_or_releases_and_when_stand_together(province: Province) -> None:
    now = timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        Deletion.objects.create(
            **uids(province), study_pk=1, reason="test", deleted_by="x", deleted_at=now,
            purge_after=now, lifted_at=now,
        )  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        LegalHold.objects.create(
            **uids(province), reference="1", set_by="x", set_at=now, released_by="x"
        )
