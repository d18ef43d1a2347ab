"""Applies Hark's schema with Django's connection, as `hark migrate` does with its own.

Whoever comes first takes an advisory lock, the same as `hark migrate`; the others wait and then find nothing to do. Each migration and its
row in hark.migrations are one transaction. The checksum of each file is kept; if one differs, somebody has edited history, and nothing is done.
"""

from __future__ import annotations

from typing import NamedTuple

from django.db import DatabaseError, connections, transaction

from hark.schema import Migration, migrations

LOCK = 7_311_041_209_552_301


class SchemaError(Exception):
    """The schema in the database and this version of the package do not belong together, or a migration failed."""


class Applied(NamedTuple):
    compatible: bool
    checksum: str | None


def applied(using: str) -> dict[str, Applied]:
    """The migrations that the database has; empty when there is no schema."""
    with connections[using].cursor() as cursor:
        cursor.execute("select to_regclass('hark.migrations') is not null")
        if not cursor.fetchone()[0]:
            return {}
        cursor.execute("select name, compatible, checksum from hark.migrations order by name")
        return {name: Applied(compatible, checksum) for name, compatible, checksum in cursor.fetchall()}


def missing(there: dict[str, Applied]) -> list[Migration]:
    return [migration for migration in migrations() if migration.name not in there]


def unknown_breaking(there: dict[str, Applied]) -> str | None:
    """The name of a migration that this version does not know, and cannot work with."""
    known = {migration.name for migration in migrations()}
    return next((name for name, done in there.items() if not done.compatible and name not in known), None)


def migrate(using: str) -> list[str]:
    """Applies what is missing, and returns the names of it.

    Raises SchemaError: before anything was done, or with the name of the migration that failed, which is then rolled back.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", [LOCK])
        try:
            return migrate_alone(using)
        finally:
            cursor.execute("select pg_advisory_unlock(%s)", [LOCK])


def migrate_alone(using: str) -> list[str]:
    there = applied(using)
    if name := unknown_breaking(there):
        raise SchemaError(f"the schema has the breaking migration {name}, which this version of hark-tasks does not know: install a later one")
    for migration in migrations():
        done = there.get(migration.name)
        if done is not None and done.checksum not in (None, migration.checksum):
            raise SchemaError(
                f"migration {migration.name} in the database is not the one in this version of hark-tasks: "
                "a migration is never edited after its release, so find out which of the two was changed"
            )
        if done is not None and done.checksum is None:  # it was applied with psql
            record(using, migration)
    todo = missing(there)
    for migration in todo:
        try:
            with transaction.atomic(using), connections[using].cursor() as cursor:
                cursor.execute(migration.sql)
                record(using, migration)
        except DatabaseError as error:
            raise SchemaError(f"migration {migration.name}: {error}") from error
    return [migration.name for migration in todo]


def record(using: str, migration: Migration) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("update hark.migrations set checksum = %s where name = %s", [migration.checksum, migration.name])
        if cursor.rowcount != 1:
            raise SchemaError(f"migration {migration.name} did not write its row into hark.migrations")
