"""A person to act, and a way to tamper as only the owner of the tables can."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import connection

from common.accounts.models import User
from common.storage import open_store


@pytest.fixture(autouse=True)
def _a_store_without_anchors(settings, tmp_path):
    """The command compares with the object store: here one of the test alone."""
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    open_store(settings.OBJECT_STORE_URL).check()


@pytest.fixture
def actor(db):
    return User.objects.create_user("radiologist", password="a-long-pass-phrase")


@pytest.fixture
def tamper():
    """``with tamper("audit_auditentry") as cursor``: the triggers of the table are off meanwhile."""

    @contextmanager
    def off(table):
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield cursor
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    return off
