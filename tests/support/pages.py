"""A small province for the tests of pages: two hospitals, people in their roles, studies in every state."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from django.test import Client
from django.utils import timezone

from common.accounts.models import User
from common.dicom.names import name_grams
from hospitals.models import Consortium, Endpoint, Institution, Membership, Region
from sharing.models import (
    Certificate,
    Quarantined,
    Series,
    SeriesRevision,
    Study,
    Transfer,
)
from sharing.permissions import forget_sights
from sharing.selectors.overview import forget_figures

UID = "1.2.826.0.1.3680043.8.498.7"


@dataclass
class Province:
    """The rows that the tests of pages speak of."""

    east: Institution
    west: Institution
    study: Study
    failed: Transfer

    def client(
        self, role: str, *, language: str = "en", institution: Institution | None = None
    ) -> Client:
        """A browser of a person in this role; roles of an institution work at ``east``."""
        name = f"{role}-{institution.code if institution else ''}"
        user, new = User.objects.get_or_create(username=name)
        if new and role:
            local = role in {"radiologist", "clinician", "institution_admin", "integrator"}
            Membership.objects.create(
                user=user,
                institution=(institution or self.east) if local else None,
                role=role,
                valid_from=dt.date(2025, 1, 1),
            )
        forget_sights()
        client = Client(headers={"Accept-Language": language, "Accept": "text/html"})
        client.force_login(user)
        return client


def make_province() -> Province:
    """Fill the database."""
    forget_sights()
    forget_figures()
    region = Region.objects.create(code="990000", name="示范省")
    tight = Consortium.objects.create(code="tight", name="东部医联体", region=region)
    east = Institution.objects.create(
        code="EAST", name="东部人民医院", region=region, consortium=tight, state="active"
    )
    west = Institution.objects.create(code="WEST", name="西部医院", region=region, state="active")
    for institution in (east, west):
        Endpoint.objects.create(
            institution=institution, kind="dicomweb", base_url="http://pacs.example/dicom-web"
        )
    study = make_study(east, 1, name="Zhang^San=张^三")
    series = study.series.get()
    failed = (
        make_study(east, 2, name="Li^Na=李^娜", state="incomplete").series.get().transfers.get()
    )
    Quarantined.objects.create(
        institution=east,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        reason="truncated",
        text="Ends 4,096 bytes early.",
        sha256="0" * 64,
        size_bytes=10,
        object_key="quarantine/EAST/0.dcm",
        first_at=timezone.now(),
        last_at=timezone.now(),
    )
    make_study(west, 3, name="Wang^Wu=王^五")
    return Province(east=east, west=west, study=study, failed=failed)


def make_study(
    institution: Institution, number: int, *, name: str, state: str = "archived"
) -> Study:
    """One study with one series, its transfer, and where it is archived its revision and certificate."""
    now = timezone.now()
    archived = state == "archived"
    study = Study.objects.create(
        institution=institution,
        study_instance_uid=f"{UID}.{number}",
        patient_id=f"PID-{number}",
        patient_name=name,
        name_grams=name_grams(name),
        study_date=dt.date(2026, 1, number),
        accession_number=f"ACC-{number}",
        study_description="胸部平扫",
        modalities=["CT"],
        series_count=1,
        instance_count=3,
        size_bytes=1_500_000,
        listed_instances=3,
        state=state,
        found_at=now,
        archived_at=now if archived else None,
    )
    series = Series.objects.create(
        study=study,
        series_instance_uid=f"{UID}.{number}.1",
        modality="CT",
        series_number=1,
        instance_count=3,
        listed_instances=3,
        state="verified" if archived else "incomplete",
    )
    Transfer.objects.create(
        series=series,
        institution=institution,
        state="done" if archived else "failed",
        not_before=now,
        asked_at=now,
        started_at=now,
        finished_at=now,
        received_instances=3,
        received_bytes=1_500_000,
        error_code="" if archived else "incomplete",
        error_text="" if archived else "1 of 3 instances is missing.",
    )
    if archived:
        _prove(study, series)
    return study


def _prove(study: Study, series: Series) -> None:
    now = timezone.now()
    series.current = SeriesRevision.objects.create(
        series=series,
        number=1,
        prefix=f"archive/{study.institution.code}/{study.study_instance_uid}/000001-ab",
        instance_count=3,
        size_bytes=1_500_000,
        pack_digest="ab" * 32,
        stored_at=now,
        verified_at=now,
    )
    series.save()
    entry = {
        "series_instance_uid": series.series_instance_uid,
        "revision": 1,
        "pack_digest": "ab" * 32,
    }
    entry |= {"instances": 3, "bytes": 1_500_000, "listed": 3, "compared_by": "uids"}
    Certificate.objects.create(
        study=study,
        number=1,
        issued_at=now,
        object_key=f"archive/{study.pk}/certificate-000001.json",
        sha256="cd" * 32,
        body={"series": [entry]},
    )


def inline_parts(html: str) -> list[str]:
    """What a strict Content-Security-Policy would refuse in this page."""
    scripts = re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", html)
    return scripts + re.findall(r"<style\b|\sstyle=|\son[a-z]+=|javascript:", html)
