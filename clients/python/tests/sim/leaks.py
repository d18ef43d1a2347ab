"""Functions that leave their database connection in a state that the next task must not meet."""

from __future__ import annotations

from django.db import connection, transaction


def _insert() -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into leaked values (1)")


def atomic_entered_by_hand() -> None:
    transaction.atomic().__enter__()
    _insert()


def autocommit_off() -> None:
    transaction.set_autocommit(False)
    _insert()


def raw_begin() -> None:
    with connection.cursor() as cursor:
        cursor.execute("begin")
    _insert()


def backend() -> int:
    """Which session of the server this interpreter has, if it is as a new one would be."""
    assert connection.get_autocommit() and not connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid(), count(*) from leaked")
        pid, rows = cursor.fetchone()
    assert rows == 0, f"{rows} rows of somebody else's transaction"
    return int(pid)


async def backend_of_async() -> int:
    from asgiref.sync import sync_to_async

    return await sync_to_async(backend)()
