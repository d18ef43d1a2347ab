"""Opens a connection while it is imported, which the interpreters must not share."""

from __future__ import annotations

from django.db import connection

with connection.cursor() as cursor:
    cursor.execute("select pg_backend_pid()")
    PARENT = cursor.fetchone()[0]


def parent() -> int:
    return int(PARENT)
