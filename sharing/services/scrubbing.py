"""The scrub: every current revision is read from the store again and hashed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from common.archive import documents, keys
from common.archive.documents import SeriesIndex
from common.archive.verify import verify_pack
from common.errors import DomainError
from common.storage import object_store
from sharing.models import Certificate, SeriesRevision, Study


@dataclass(frozen=True)
class ScrubResult:
    """One series revision or certificate, and what is wrong with it; no faults means sound."""

    study_instance_uid: str
    name: str
    instances: int
    size_bytes: int
    faults: tuple[str, ...]


def scrub(*, study_instance_uid: str = "") -> Iterator[ScrubResult]:
    """Check every current revision and certificate, or those of one study. Reports; changes nothing."""
    studies = Study.objects.order_by("pk")
    if study_instance_uid:
        studies = studies.filter(study_instance_uid=study_instance_uid)
    for study in studies.iterator(chunk_size=500):
        for series in study.series.select_related("current").exclude(current=None):
            assert series.current is not None  # noqa: S101 - narrows the type; excluded above
            yield _scrub_revision(study, series.current)
        for certificate in study.certificates.all():
            yield _scrub_certificate(study, certificate)


def _scrub_revision(study: Study, revision: SeriesRevision) -> ScrubResult:
    store = object_store()
    faults: list[str] = []
    try:
        index = SeriesIndex.from_bytes(store.get_bytes(keys.index_key(revision.prefix)))
        faults += [str(fault) for fault in verify_pack(store, index)]
        if index.pack_digest != revision.pack_digest:
            faults.append("the index document and the database name different pack digests")
        lines = documents.metadata_lines(store.get_bytes(keys.metadata_key(revision.prefix)))
        described = [orjson.loads(line).get("00080018", {}).get("Value", [""])[0] for line in lines]
        if described != [entry.sop_instance_uid for entry in index.instances]:
            faults.append("the metadata document does not describe the instances of the index")
        if len(index.instances) != revision.instance_count:
            faults.append("the index document and the database count different instances")
    except (DomainError, ValueError, OSError) as error:
        faults.append(f"{type(error).__name__}: {error}")
    return ScrubResult(
        study_instance_uid=study.study_instance_uid,
        name=revision.prefix,
        instances=revision.instance_count,
        size_bytes=revision.size_bytes,
        faults=tuple(faults),
    )


def _scrub_certificate(study: Study, certificate: Certificate) -> ScrubResult:
    faults: tuple[str, ...] = ()
    try:
        data = object_store().get_bytes(certificate.object_key)
        if hashlib.sha256(data).hexdigest() != certificate.sha256:
            faults = ("the certificate does not hash to what was issued",)
    except DomainError as error:
        faults = (f"{type(error).__name__}: {error}",)
    return ScrubResult(
        study_instance_uid=study.study_instance_uid,
        name=certificate.object_key,
        instances=0,
        size_bytes=0,
        faults=faults,
    )
