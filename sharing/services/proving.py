"""Proof: what was written is read back, and a whole study gets a completeness certificate."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from common import audit
from common.archive import keys
from common.archive.documents import SeriesIndex
from common.archive.verify import verify_pack
from common.events import publish
from common.storage import ObjectMissing, object_store
from hospitals import selectors as hospital_selectors
from sharing.errors import ArchiveDamaged
from sharing.events import StudyBecameRetrievable
from sharing.models import Certificate, Series, Study, Transfer
from sharing.services.locks import CERTIFY, one_at_a_time


def read_back(*, index: SeriesIndex) -> None:
    """Read the stored object again and compare every digest.

    Raises:
        ArchiveDamaged: naming what differs.
    """
    faults = verify_pack(object_store(), index)
    if faults:
        raise ArchiveDamaged(f"{index.pack_key}: " + "; ".join(str(fault) for fault in faults[:5]))


def certify(*, study_id: int) -> Certificate | None:
    """Issue the certificate of a study whose every series is verified; None while one is not.

    Asking again for the same revisions issues nothing new. The document is stored before the row, so that
    the index can be rebuilt from the bucket.
    """
    with one_at_a_time(CERTIFY, study_id):
        # Two workers may finish the last two series at once: one document, one row.
        study = Study.objects.get(pk=study_id)
        series = _series(study)
        if not series or any(item.state != Series.State.VERIFIED for item in series):
            _mark_incomplete(study)
            return None
        last = study.certificates.first()
        content = [_series_entry(item) for item in series]
        if last is not None and last.body["series"] == content:
            Study.objects.filter(pk=study_id).update(state=Study.State.ARCHIVED)
            return None
        code = store_institution(institution_id=study.institution_id)
        number = last.number + 1 if last else 1
        body = _body(study=study, content=content, number=number, institution_code=code)
        data = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        key = keys.certificate_key(body["institution"], study.study_instance_uid, body["number"])
        object_store().put_bytes(key, data, content_type="application/json")
        return _issue(study=study, key=key, data=data, body=body)


def certify_overdue(*, limit: int = 100) -> int:
    """Certify studies that are whole but whose worker died before it said so. Returns how many."""
    unfinished = Series.objects.filter(study=OuterRef("pk")).exclude(state=Series.State.VERIFIED)
    running = Transfer.objects.filter(series__study=OuterRef("pk"), state__in=Transfer.OPEN)
    whole = (
        Study.objects.filter(state__in=[Study.State.PULLING, Study.State.INCOMPLETE])
        .filter(Exists(Series.objects.filter(study=OuterRef("pk"))))
        .exclude(Exists(unfinished))
        .exclude(Exists(running))
    )
    return sum(
        certify(study_id=pk) is not None for pk in whole.values_list("pk", flat=True)[:limit]
    )


def store_institution(*, institution_id: int) -> str:
    """Keep who the institution is beside its archive, so that the bucket explains itself; returns its code.

    Most certificates find it there already: it is written only when it differs.
    """
    facts = hospital_selectors.institution_facts(institution_id)
    data = orjson.dumps(facts.to_json(), option=orjson.OPT_SORT_KEYS)
    key = keys.institution_key(facts.code)
    store = object_store()
    try:
        known = store.get_bytes(key)
    except ObjectMissing:
        known = b""
    if known != data:
        store.put_bytes(key, data, content_type="application/json")
    return facts.code


@transaction.atomic
def _issue(*, study: Study, key: str, data: bytes, body: dict[str, Any]) -> Certificate | None:
    locked = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    if [_series_entry(item) for item in _series(locked)] != body["series"]:
        return None  # a late instance made a new revision meanwhile: its worker certifies
    certificate = write_certificate(study=locked, key=key, data=data, body=body)
    publish(StudyBecameRetrievable(study_id=locked.pk, certificate_number=certificate.number))
    audit.record(
        "puller",
        "study.certify",
        object_type="study",
        object_id=str(locked.pk),
        institution_id=locked.institution_id,
    )
    return certificate


def write_certificate(*, study: Study, key: str, data: bytes, body: dict[str, Any]) -> Certificate:
    """The rows that follow from a certificate's document; the rebuild from the bucket writes the same."""
    certificate = Certificate.objects.create(
        study=study,
        number=body["number"],
        issued_at=body["issued_at"],
        object_key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        body=body,
    )
    study.state = Study.State.ARCHIVED
    study.archived_at = study.archived_at or body["issued_at"]
    study.save(update_fields=["state", "archived_at"])
    return certificate


def _series(study: Study) -> list[Series]:
    return list(study.series.select_related("current").order_by("series_instance_uid"))


def _series_entry(series: Series) -> dict[str, Any]:
    revision = series.current
    if revision is None:
        return {"series_instance_uid": series.series_instance_uid, "revision": 0}
    return {
        "series_instance_uid": series.series_instance_uid,
        "revision": revision.number,
        "prefix": revision.prefix,
        "pack_digest": revision.pack_digest,
        "instances": series.instance_count,
        "bytes": series.size_bytes,
        "listed": series.listed_instances,
        "compared_by": series.compared_by,
    }


def _body(
    *, study: Study, content: list[dict[str, Any]], number: int, institution_code: str
) -> dict[str, Any]:
    return {
        "version": 1,
        "institution": institution_code,
        "study_instance_uid": study.study_instance_uid,
        "number": number,
        "issued_at": timezone.now().isoformat(),
        "series": content,
        "instances": sum(entry["instances"] for entry in content),
        "bytes": sum(entry["bytes"] for entry in content),
    }


def _mark_incomplete(study: Study) -> None:
    open_ = Transfer.objects.filter(series__study=study, state__in=Transfer.OPEN)
    some = study.series.filter(state=Series.State.INCOMPLETE)
    if some.exists() and not open_.exclude(state=Transfer.State.WAITING).exists():
        Study.objects.filter(pk=study.pk).update(state=Study.State.INCOMPLETE)
