"""Locks that PostgreSQL holds for one session: for work that spans the database and the object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

CERTIFY = 0x63657274
GATHER = 0x67617468
PURGE = 0x70757267


@contextmanager
def one_at_a_time(subject: int, key: int) -> Iterator[None]:
    """Wait until nobody else works on ``key`` of ``subject``. Ends with the session at the latest."""
    numbers = [subject, key % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", numbers)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", numbers)


@contextmanager
def if_free(subject: int, key: int) -> Iterator[bool]:
    """Whether nobody else works on ``key`` of ``subject``; does not wait."""
    numbers = [subject, key % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", numbers)
        row = cursor.fetchone()
    mine = bool(row and row[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", numbers)
