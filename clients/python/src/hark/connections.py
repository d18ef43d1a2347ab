"""Runs a statement where the caller's transaction is: on a connection of psycopg 3, or on Django's own.

Nothing is imported that is not there already: a connection's class tells whose it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

Row = tuple[Any, ...]


def rows(connection: object, using: str | None, sql: str, parameters: Sequence[object]) -> list[Row]:
    """Executes a statement and returns its rows. Commits nothing: that is the caller's."""
    if connection is None:
        connection = django_connection(using)
    elif using is not None:
        raise TypeError("give connection= or using=, not both: an alias names a connection of Django")
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(connection, psycopg.Connection):
        # Not connection.cursor(): that makes whatever cursors and rows the caller likes best.
        with psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
    if psycopg is not None and isinstance(connection, psycopg.AsyncConnection):
        raise TypeError("this is an async connection: await hark.aenqueue(...)")
    if is_django(connection):
        with connection.cursor() as django_cursor:  # type: ignore[attr-defined]
            django_cursor.execute(sql, parameters)
            return list(django_cursor.fetchall())
    raise TypeError(f"connection must be a connection of psycopg 3 or of Django, not {kind(connection)}")


async def arows(connection: object, using: str | None, sql: str, parameters: Sequence[object]) -> list[Row]:
    """The same on an async connection of psycopg 3, or on Django's own, in the thread that Django keeps for it."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(connection, psycopg.AsyncConnection):
        if using is not None:
            raise TypeError("give connection= or using=, not both: an alias names a connection of Django")
        async with psycopg.AsyncCursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
            await cursor.execute(sql, parameters)
            return list(await cursor.fetchall())
    if psycopg is not None and isinstance(connection, psycopg.Connection):
        raise TypeError("this connection would block the event loop: give one of psycopg.AsyncConnection, or use hark.enqueue")
    if connection is None or is_django(connection):
        from asgiref.sync import sync_to_async

        found: list[Row] = await sync_to_async(rows, thread_sensitive=True)(connection, using, sql, parameters)
        return found
    raise TypeError(f"connection must be a connection of psycopg 3 or of Django, not {kind(connection)}")


def is_django(connection: object) -> bool:
    return hasattr(connection, "vendor") and hasattr(connection, "settings_dict")


def django_connection(using: str | None) -> object:
    """Django's connection of an alias; without one, the database that its routers name for tasks, as a rule "default"."""
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.db import connections

        connection = connections[using or default_alias()]
    except ImportError:
        raise TypeError("there is no connection: give connection=, one of psycopg 3") from None
    except ImproperlyConfigured as error:
        raise TypeError(f"there is no connection: give connection=, one of psycopg 3, or set Django up, whose own is then used ({error})") from None
    if connection.vendor != "postgresql":
        raise TypeError(f"tasks are in PostgreSQL, and Django's database {connection.alias!r} is {connection.vendor}: name another with using=")
    return connection


def default_alias() -> str:
    from django.apps import apps
    from django.db import DEFAULT_DB_ALIAS, router

    if not apps.ready or not apps.is_installed("hark.django"):
        return DEFAULT_DB_ALIAS
    return str(router.db_for_write(apps.get_model("hark", "Task")))


def kind(value: object) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}"
