"""A small province as FHIR shows it: two hospitals of one consortium, one outside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from common.accounts.tokens import create_token, remembered
from sharing import permissions, selectors
from sharing.models import Series
from tests.support import archive

UID = "1.2.826.0.1.3680043.8.498.9"


@dataclass
class Province:
    """Its institutions, people and studies."""

    near: Any
    partner: Any
    far: Any
    radiologist: Any  # of near
    zhang: Any  # studies
    zhang_older: Any
    wang: Any  # at the partner, the same patient number
    hidden: Any  # outside


@pytest.fixture
def province(db: None, settings: Any, tmp_path: Any) -> Iterator[Province]:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    _forget()
    consortium = archive.make_consortium("tight")
    near = archive.make_institution("near_1", consortium=consortium)
    partner = archive.make_institution("partner", consortium=consortium)
    far = archive.make_institution("far")
    yield Province(
        near=near,
        partner=partner,
        far=far,
        radiologist=archive.make_user("radiologist", "radiologist", near),
        zhang_older=make_study(near, 1, day=2, name="Zhang^San=张^三"),
        zhang=make_study(near, 2, day=5, name="Zhang^San=张^三", modality="MR"),
        wang=make_study(partner, 3, day=4, name="Wang^Wu=王^五"),
        hidden=make_study(far, 4, day=6, name="Zhang^San=张^三"),
    )
    _forget()


def make_study(
    institution: Any,
    number: int,
    *,
    day: int,
    name: str,
    patient_id: str = "P1",
    modality: str = "CT",
    **values: Any,
) -> Any:
    """A study of January 2026 with one series of three instances."""
    study = archive.make_indexed_study(
        institution,
        f"{UID}.{number}",
        patient_id=patient_id,
        patient_name=name,
        patient_birth_date=dt.date(1980, 2, number),
        patient_sex="M",
        study_date=dt.date(2026, 1, day),
        study_time="101500.25",
        accession_number=f"ACC{number}",
        study_description="胸部平扫",
        modalities=[modality],
        series_count=1,
        instance_count=3,
        **values,
    )
    Series.objects.create(
        study=study,
        series_instance_uid=f"{UID}.{number}.1",
        modality=modality,
        series_number=1,
        series_description="axial",
        body_part_examined="CHEST",
        series_date=dt.date(2026, 1, day),
        series_time="1016",
        instance_count=3,
    )
    return study


def _forget() -> None:
    permissions.forget_sights()
    selectors.forget_places()
    remembered.clear()


class Reader:
    """Asks under ``/fhir/`` with a token."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, address: str, **headers: str) -> Any:
        path = address if address.startswith("http") else f"/fhir/{address}"
        return self._client.get(path, headers=headers)

    def found(self, address: str) -> Any:
        answer = self.get(address)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def post(self, address: str, data: dict[str, str]) -> Any:
        return self._client.post(
            f"/fhir/{address}", urlencode(data), content_type="application/x-www-form-urlencoded"
        )

    def request(self, method: str, address: str) -> Any:
        return self._client.generic(method, f"/fhir/{address}")


@pytest.fixture
def reader(province: Province) -> Reader:
    """The radiologist of the near hospital, with a token that only reads."""
    return reader_of(province.radiologist)


def reader_of(user: Any, *, scope: str = "read") -> Reader:
    """Somebody with a token."""
    permissions.forget_sights()
    return Reader(create_token(actor="test", user=user, scope=scope))
