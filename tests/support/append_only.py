"""Append-only tables refuse TRUNCATE, which is how Django empties the database after a transactional test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations

_SWITCH = """
DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT DISTINCT tgrelid::regclass AS name FROM pg_trigger
             WHERE tgname LIKE '%\\_append\\_only%' AND NOT tgisinternal LOOP
        EXECUTE format('ALTER TABLE %s {switch} TRIGGER USER', t.name);
    END LOOP;
END $$;
"""


@pytest.fixture(autouse=True)
def _reads_of_another_test_are_not_counted() -> Iterator[None]:
    yield
    services = sys.modules.get("common.audit.services")
    if services is not None:
        services.counts.forget()


@pytest.fixture(autouse=True)
def _institutions_of_another_test_are_forgotten() -> Iterator[None]:
    yield
    codes = sys.modules.get("sharing.selectors.codes")
    if codes is not None:
        codes.forget()  # the same code is another row there


@pytest.fixture(scope="session", autouse=True)
def _append_only_tables_are_emptied_between_tests() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    flush = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, *args: Any, **kwargs: Any) -> list[str]:
        statements = flush(self, *args, **kwargs)
        if not statements:
            return statements
        return [
            _SWITCH.replace("{switch}", "DISABLE"),
            *statements,
            _SWITCH.replace("{switch}", "ENABLE"),
        ]

    patch.setattr(DatabaseOperations, "sql_flush", sql_flush)
    yield
    patch.undo()
