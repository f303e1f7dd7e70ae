"""Archived studies for tests of the read side: real packs, documents and rows, without a hospital."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import transaction
from django.utils import timezone

from common.archive import documents, keys
from common.archive.documents import InstanceEntry, SeriesIndex
from common.archive.pack import PackWriter
from common.dicom.names import name_grams
from common.dicom.part10 import Instance, read_instance
from common.storage import object_store
from sharing.domain.completeness import Listing
from sharing.models import Series, Study
from sharing.services import assigning, revisions
from sharing.services.receiving import entry_of, json_bytes
from sharing.services.revisions import Sealed


@dataclass
class Stored:
    """One instance as it lies in the archive, and the file it came from."""

    path: Path
    header: Instance
    study: Study
    data: bytes = field(repr=False)

    @property
    def url(self) -> str:
        """Path of the instance below a DICOMweb root."""
        header = self.header
        return (
            f"studies/{header.study_instance_uid}/series/{header.series_instance_uid}"
            f"/instances/{header.sop_instance_uid}"
        )


def make_institution(code: str, *, consortium: Any = None) -> Any:
    """An active institution in a region of its own kind."""
    region, _ = apps.get_model("hospitals", "Region").objects.get_or_create(
        code="420100", defaults={"name": "武汉市"}
    )
    return apps.get_model("hospitals", "Institution").objects.create(
        code=code, name=f"医院 {code}", region=region, state="active", consortium=consortium
    )


def make_consortium(code: str) -> Any:
    """A consortium of the same region."""
    region, _ = apps.get_model("hospitals", "Region").objects.get_or_create(
        code="420100", defaults={"name": "武汉市"}
    )
    return apps.get_model("hospitals", "Consortium").objects.create(
        code=code, name=code, region=region
    )


def make_user(username: str, role: str = "", institution: Any = None, **kwargs: Any) -> Any:
    """An account, with one role in force since long ago where one is named."""
    user = apps.get_model("accounts", "User").objects.create(username=username, **kwargs)
    if role:
        apps.get_model("hospitals", "Membership").objects.create(
            user=user, role=role, institution=institution, valid_from=date(2020, 1, 1)
        )
    return user


def make_indexed_study(institution: Any, uid: str, **values: Any) -> Study:
    """A study that is known from the hospital's list only, or whatever ``values`` make of it.

    It names its patient and person, as every writer of the index leaves it, unless ``values`` name them.
    """
    name = values.get("patient_name", "")
    study = Study(
        institution=institution,
        study_instance_uid=uid,
        found_at=timezone.now(),
        name_grams=name_grams(name),
        **values,
    )
    if not values.keys() & {"local_patient", "local_patient_id", "person", "person_id"}:
        assigning.assign_patient(study)
    study.save(force_insert=True)
    return study


def archive_files(institution: Any, paths: Iterable[Path], *, tmp_path: Path) -> list[Stored]:
    """Archive these DICOM files as the hospital's: one pack per series, studies marked archived."""
    by_series: dict[tuple[str, str], list[tuple[Path, bytes, Instance]]] = defaultdict(list)
    for path in paths:
        with path.open("rb") as file:
            header = read_instance(file, offset=0, length=path.stat().st_size)
        key = header.study_instance_uid, header.series_instance_uid
        by_series[key].append((path, path.read_bytes(), header))
    stored: list[Stored] = []
    for number, found in enumerate(by_series.values()):
        study = _archive_series(institution, found, tmp_path / f"{institution.code}-{number}.zip")
        stored += [Stored(path, header, study, data) for path, data, header in found]
    Study.objects.filter(institution=institution, instance_count__gt=0).update(
        state=Study.State.ARCHIVED, archived_at=timezone.now()
    )
    return stored


def _archive_series(
    institution: Any, found: list[tuple[Path, bytes, Instance]], pack_path: Path
) -> Study:
    first = found[0][2]
    study, _ = Study.objects.get_or_create(
        institution=institution,
        study_instance_uid=first.study_instance_uid,
        defaults={"found_at": timezone.now()},
    )
    series, _ = Series.objects.get_or_create(
        study=study, series_instance_uid=first.series_instance_uid
    )
    with PackWriter(pack_path) as writer:
        entries = [_write(writer, data, header) for _, data, header in found]
        pack = writer.seal()
    prefix = keys.revision_prefix(
        institution_code=institution.code,
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        number=1,
        pack_digest=pack.digest,
    )
    index = SeriesIndex(
        institution_code=institution.code,
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        number=1,
        pack_key=keys.pack_key(prefix),
        pack_size=pack.size,
        pack_digest=pack.digest,
        character_set="",
        stored_at=timezone.now().isoformat(),
        instances=tuple(entries),
    )
    store = object_store()
    store.put_file(index.pack_key, pack.path, move=True)
    metadata = documents.metadata_bytes(json_bytes(header.attributes) for _, _, header in found)
    store.put_bytes(keys.metadata_key(prefix), metadata)
    store.put_bytes(keys.index_key(prefix), index.to_bytes())
    sealed = Sealed(index=index, prefix=prefix, size_bytes=pack.size, first=first.attributes)
    with transaction.atomic():
        revisions.write_rows(series=series, sealed=sealed, listing=Listing())
    study.refresh_from_db()
    return study


def _write(writer: PackWriter, data: bytes, header: Instance) -> InstanceEntry:
    writer.begin()
    writer.write(data)
    return entry_of(header, writer.commit(f"{header.sop_instance_uid}.dcm"))
