"""The index from the bucket alone: studies, series, revisions, certificates and quarantine cases.

Drops nothing. A row that exists is brought in line with the newest complete revision in the bucket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson
import structlog
from django.db import transaction
from django.utils import timezone

from common.archive import documents, keys
from common.archive.documents import SeriesIndex
from common.archive.keys import CertificateKey, MarkKey, RevisionKey
from common.audit.services import Actor
from common.errors import DomainError
from common.storage import object_store
from hospitals import selectors as hospital_selectors
from hospitals import services as hospital_services
from hospitals.domain.policy import InstitutionFacts
from hospitals.errors import InstitutionUnknown
from sharing.domain.completeness import Listing
from sharing.models import Certificate, Series, SeriesRevision, Study
from sharing.services import adopting, deleting, proving, quarantine, revisions
from sharing.services.marks import restore_marks
from sharing.services.revisions import Sealed

log = structlog.get_logger(__name__)


@dataclass
class Rebuilt:
    """What a rebuild wrote, and what in the bucket it could not use, with the reason."""

    institutions: int = 0
    studies: int = 0
    series: int = 0
    revisions: int = 0
    certificates: int = 0
    quarantined: int = 0
    deletions: int = 0
    holds: int = 0
    received: int = 0
    unusable: list[str] = field(default_factory=list)


@dataclass
class _StudyInBucket:
    prefixes: dict[str, list[tuple[int, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # series UID → (number, prefix)
    certificates: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)


def rebuild_index() -> Iterator[Rebuilt]:
    """Rebuild everything; yields the running totals after each study, so that progress can be shown."""
    done = Rebuilt()
    ids: dict[str, int] = {}
    for stat in object_store().list("institutions/"):
        ids |= _restore_institution(stat.key, done)
    for (code, study_uid), found in _studies(done):
        if code not in ids:
            ids |= _known_institution(code, done)
        if code in ids and not restore_marks(ids[code], code, study_uid, found.marks, done):
            _restore_study(ids[code], study_uid, found, done)
        yield done
    for stat in object_store().list("incoming/"):
        _restore_incoming(stat.key, done)
    for stat in object_store().list("quarantine/"):
        if stat.key.endswith(".json"):
            _restore_case(stat.key, ids, done)
    yield done


def bring_back(*, actor: Actor, institution_id: int, study_instance_uid: str) -> None:
    """Undo a deletion within its grace: the rows are written again from the bucket.

    Raises:
        NotDeleted: no deletion is in force, or its bytes are gone.
    """
    deletion = deleting.lift(
        actor=actor, institution_id=institution_id, study_instance_uid=study_instance_uid
    )
    code = hospital_selectors.institution_facts(institution_id).code
    done = Rebuilt()
    for (_, uid), found in _studies(done, keys.study_prefix(code, study_instance_uid)):
        _restore_study(institution_id, uid, found, done, study_pk=deletion.study_pk)


def _restore_incoming(key: str, done: Rebuilt) -> None:
    if adopting.is_known(key):
        return
    try:
        done.received += adopting.adopt(key)
    except DomainError as error:
        done.unusable.append(f"{key}: {error}")


def _restore_institution(key: str, done: Rebuilt) -> dict[str, int]:
    facts = InstitutionFacts.from_json(orjson.loads(object_store().get_bytes(key)))
    institution = hospital_services.restore_institution(facts)
    done.institutions += 1
    return {facts.code: institution.pk}


def _known_institution(code: str, done: Rebuilt) -> dict[str, int]:
    try:
        return {code: hospital_selectors.get_institution(code=code).pk}
    except InstitutionUnknown:
        done.unusable.append(
            f"archive/{code}/: no institutions/{code}.json and no such institution"
        )
        return {}


def _studies(
    done: Rebuilt, prefix: str = "archive/"
) -> Iterator[tuple[tuple[str, str], _StudyInBucket]]:
    """The studies of the bucket, in the order of their keys, one at a time."""
    named = _named(done, prefix)
    for study, items in groupby(named, key=lambda item: item[0]):
        found = _StudyInBucket()
        for _, key in items:
            if isinstance(key, MarkKey):
                found.marks.append(key.kind)
            elif isinstance(key, CertificateKey):
                found.certificates.append(
                    keys.certificate_key(key.institution_code, key.study_instance_uid, key.number)
                )
            elif key.is_index:  # the last of the three to be written
                found.prefixes[key.series_instance_uid].append((key.number, key.prefix))
        yield study, found


def _named(
    done: Rebuilt, prefix: str
) -> Iterator[tuple[tuple[str, str], CertificateKey | RevisionKey | MarkKey]]:
    for stat in object_store().list(prefix):
        key = (
            keys.parse_revision_key(stat.key)
            or keys.parse_certificate_key(stat.key)
            or keys.parse_mark_key(stat.key)
        )
        if key is None:
            done.unusable.append(f"{stat.key}: not a name of the archive")
        else:
            yield (key.institution_code, key.study_instance_uid), key


@transaction.atomic
def _restore_study(
    institution_id: int,
    study_uid: str,
    found: _StudyInBucket,
    done: Rebuilt,
    *,
    study_pk: int | None = None,
) -> None:
    study, created = Study.objects.get_or_create(
        institution_id=institution_id,
        study_instance_uid=study_uid,
        defaults={"found_at": timezone.now()} | ({"pk": study_pk} if study_pk else {}),
    )
    done.studies += 1
    certificates = [body for key in sorted(found.certificates) for body in _certificate(key, done)]
    certified = frozenset(
        entry["prefix"] for _, _, body in certificates for entry in body["series"]
    )
    for series_uid, numbered in sorted(found.prefixes.items()):
        _restore_series(study, series_uid, sorted(numbered), certified, done)
    for key, data, body in certificates:
        _restore_certificate(study, key, data, body, done)
    study.refresh_from_db()
    if not study.series.exclude(current=None).exists() and created:
        study.delete()
        done.studies -= 1
        return
    _settle_state(study)


def _restore_series(
    study: Study,
    series_uid: str,
    numbered: list[tuple[int, str]],
    certified: frozenset[str],
    done: Rebuilt,
) -> None:
    series, _ = Series.objects.select_related("current").get_or_create(
        study=study, series_instance_uid=series_uid
    )
    done.series += 1
    for number, group in groupby(numbered, key=lambda item: item[0]):
        if series.current is not None and series.current.number >= number:
            continue
        usable = [sealed for _, prefix in group for sealed in _usable(prefix, done)]
        if not usable:
            continue
        # A crash before the row was written leaves one more of the same number: the certified, else the last.
        sealed = max(usable, key=lambda one: (one.prefix in certified, one.index.stored_at))
        listing = Listing(count=sealed.index.listed_instances)
        revisions.write_rows(series=series, sealed=sealed, listing=listing)
        Series.objects.filter(pk=series.pk).update(compared_by=sealed.index.compared_by)
        done.revisions += 1


def _usable(prefix: str, done: Rebuilt) -> list[Sealed]:
    try:
        return [_sealed(prefix)]
    except (DomainError, ValueError) as error:
        done.unusable.append(f"{prefix}: {error}")
        return []


def _sealed(prefix: str) -> Sealed:
    store = object_store()
    index = SeriesIndex.from_bytes(store.get_bytes(keys.index_key(prefix)))
    first = documents.metadata_lines(store.get_bytes(keys.metadata_key(prefix)))[0]
    if store.head(index.pack_key).size != index.pack_size:
        raise ValueError("the pack is not as long as its index says")
    return Sealed(index=index, prefix=prefix, size_bytes=index.pack_size, first=orjson.loads(first))


def _certificate(key: str, done: Rebuilt) -> list[tuple[str, bytes, dict[str, Any]]]:
    """The document of a certificate; nothing when it cannot be read as one."""
    data = object_store().get_bytes(key)
    try:
        body: dict[str, Any] = orjson.loads(data)
        datetime.fromisoformat(body["issued_at"])
        for entry in body["series"]:
            entry["prefix"], entry["listed"], entry["compared_by"]
        body["number"]
    except (ValueError, TypeError, LookupError) as error:
        done.unusable.append(f"{key}: not a certificate ({type(error).__name__})")
        return []
    return [(key, data, body)]


def _restore_certificate(
    study: Study, key: str, data: bytes, body: dict[str, Any], done: Rebuilt
) -> None:
    if not Certificate.objects.filter(study=study, number=body["number"]).exists():
        fresh = Study.objects.get(pk=study.pk)
        proving.write_certificate(study=fresh, key=key, data=data, body=body)
        done.certificates += 1


def _settle_state(study: Study) -> None:
    """Series that the newest certificate names with their current revision were read back and complete."""
    last = study.certificates.first()
    proved = {
        entry["series_instance_uid"]: entry for entry in (last.body["series"] if last else [])
    }
    for certificate in study.certificates.order_by("number"):
        # Superseded revisions too: each was read back before the first certificate that names it.
        SeriesRevision.objects.filter(
            prefix__in=[entry["prefix"] for entry in certificate.body["series"]], verified_at=None
        ).update(verified_at=certificate.issued_at)
    whole = bool(proved)
    for series in study.series.select_related("current"):
        entry = proved.get(series.series_instance_uid)
        current = series.current
        if current is None:
            whole = False  # listed by the hospital and not in the bucket: as it was
        elif entry and entry.get("prefix") == current.prefix and last:
            Series.objects.filter(pk=series.pk).update(
                state=Series.State.VERIFIED,
                listed_instances=entry["listed"],
                compared_by=entry["compared_by"],
            )
        else:
            whole = False
            short = (series.listed_instances or 0) > series.instance_count
            Series.objects.filter(pk=series.pk).update(
                state=Series.State.INCOMPLETE if short else Series.State.STORED
            )
    state = Study.State.ARCHIVED if whole else Study.State.INCOMPLETE
    Study.objects.filter(pk=study.pk).update(state=state)


def _restore_case(key: str, ids: dict[str, int], done: Rebuilt) -> None:
    code = key.split("/")[1]
    if code not in ids:
        ids |= _known_institution(code, done)
    if code not in ids:
        return
    facts: dict[str, Any] = orjson.loads(object_store().get_bytes(key))
    known = quarantine.find_case(institution_id=ids[code], facts=facts)
    if known is None:
        quarantine.open_case(
            institution_id=ids[code],
            key=keys.quarantine_key(code, str(facts["sha256"])),
            facts=facts,
        )
        done.quarantined += 1
