"""A province with a hospital in it, and people in its roles."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from common.accounts.models import User
from hospitals import services
from hospitals.models import Institution, Membership, Region
from hospitals.services import EndpointSettings

ACTOR = "test"


@pytest.fixture
def region(db) -> Region:
    return services.add_region(actor=ACTOR, code="420000", name="湖北省")


@pytest.fixture
def hospital(region) -> Institution:
    return services.add_institution(actor=ACTOR, code="H1", name="省第一人民医院", region=region)


@pytest.fixture
def other_hospital(region) -> Institution:
    return services.add_institution(actor=ACTOR, code="H2", name="县医院", region=region)


@pytest.fixture
def make_user(db):
    def make(name: str, role: str | None = None, institution: Institution | None = None) -> User:
        user = User.objects.create_user(username=name, password=None)
        if role:
            Membership.objects.create(
                user=user, role=role, institution=institution, valid_from=dt.date(2020, 1, 1)
            )
        return user

    return make


@pytest.fixture
def commission(make_user) -> User:
    return make_user("commission", "commission")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder hospital's directory: two good files and one that is not DICOM, all settled."""
    from pydicom.data import get_testdata_file

    path = tmp_path / "pacs"
    (path / "2024").mkdir(parents=True)
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(get_testdata_file(name), path / "2024" / name)
    (path / "letter.txt").write_text("not an image")
    _make_old(path)
    return path


def _make_old(path: Path) -> None:
    import os

    for file in path.rglob("*"):
        os.utime(file, (1_600_000_000, 1_600_000_000))


@pytest.fixture
def endpoint(hospital):
    """A DICOMweb endpoint at which nobody answers."""
    return services.set_endpoint(
        actor=ACTOR,
        institution=hospital,
        endpoint=EndpointSettings(base_url="http://127.0.0.1:9/dicom-web", connect_timeout_s=1),
    )
