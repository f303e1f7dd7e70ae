"""A small province to read from: two hospitals of one consortium, one outside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from common.accounts.tokens import create_token, remembered
from sharing import permissions, selectors
from sharing.selectors import codes
from tests.support import archive
from tests.support.storing import Sender


@dataclass
class Province:
    """Its institutions and people."""

    near: Any
    partner: Any
    far: Any
    radiologist: Any  # of near
    stranger: Any  # an account without any role


@pytest.fixture
def province(db: None, settings: Any, tmp_path: Any) -> Iterator[Province]:
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    _forget()
    consortium = archive.make_consortium("tight")
    near = archive.make_institution("near", consortium=consortium)
    partner = archive.make_institution("partner", consortium=consortium)
    far = archive.make_institution("far")
    yield Province(
        near,
        partner,
        far,
        archive.make_user("radiologist", "radiologist", near),
        archive.make_user("stranger"),
    )
    _forget()


def _forget() -> None:
    permissions.forget_sights()
    selectors.forget_places()
    codes.forget()
    remembered.clear()


@pytest.fixture
def reader(province: Province, client: Any) -> Any:
    """A logged-in client of the radiologist."""
    client.force_login(province.radiologist)
    return client


@pytest.fixture
def token(province: Province) -> str:
    return create_token(actor="test", user=province.radiologist)


@pytest.fixture
def sender(province: Province, client: Any) -> Sender:
    return Sender(client, archive.make_user("pacs", "integrator", province.near, is_system=True))
