"""manage.py hark_migrate: the schema through Django's connection, in agreement with `hark migrate`."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.models.signals import pre_migrate
from django.test import override_settings

from hark import schema
from hark.django import migrator
from hark.django.apps import migrate_too
from hark.django.models import Task

NAMES = [migration.name for migration in schema.migrations()]


@pytest.fixture
def empty(cluster: Any) -> Iterator[psycopg.Connection[Any]]:
    """The database "empty", which is empty again afterwards."""
    with psycopg.connect(cluster.url("empty"), autocommit=True) as connection:
        yield connection
        connections["empty"].close()
        connection.execute("drop schema if exists hark cascade")


def migrate(*options: str) -> str:
    out = StringIO()
    call_command("hark_migrate", "--database", "empty", *options, stdout=out)
    return out.getvalue()


def there(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute("select name, checksum from hark.migrations order by name").fetchall()


def test_the_package_has_the_migrations_of_the_repository() -> None:
    files = sorted((Path(__file__).resolve().parents[3] / "migrations").glob("0*.sql"))
    assert [(migration.name, migration.sql) for migration in schema.migrations()] == [(file.stem, file.read_text()) for file in files]


def test_it_applies_what_is_missing_and_keeps_the_checksums(empty: Any) -> None:
    assert migrate() == "".join(f"applied {name}\n" for name in NAMES) + "the schema is up to date\n"
    assert there(empty) == [(migration.name, migration.checksum) for migration in schema.migrations()]
    assert migrate() == "the schema is up to date\n"


def test_check_says_what_is_missing_and_applies_nothing(empty: Any) -> None:
    with pytest.raises(CommandError, match=f"not applied to the database 'empty': {NAMES[0]}, ") as caught:
        migrate("--check")
    assert caught.value.returncode == 1
    assert empty.execute("select to_regnamespace('hark')").fetchone() == (None,)
    migrate()
    assert migrate("--check") == "the schema is up to date\n"


def test_what_psql_applied_gets_its_checksum(empty: Any) -> None:
    empty.execute(schema.migrations()[0].sql.encode())
    assert there(empty) == [(NAMES[0], None)]
    assert migrate() == "".join(f"applied {name}\n" for name in NAMES[1:]) + "the schema is up to date\n"
    assert there(empty)[0] == (NAMES[0], schema.migrations()[0].checksum)


def test_a_checksum_that_differs_stops_it(empty: Any) -> None:
    migrate()
    empty.execute("update hark.migrations set checksum = 'another' where name = %s", [NAMES[1]])
    with pytest.raises(CommandError, match=f"migration {NAMES[1]} in the database is not the one in this version"):
        migrate()


def test_a_breaking_migration_of_a_later_version_stops_it(empty: Any) -> None:
    migrate()
    empty.execute("insert into hark.migrations (name, compatible) values ('9998_later', true)")
    assert migrate() == "the schema is up to date\n"
    empty.execute("insert into hark.migrations (name, compatible) values ('9999_breaking', false)")
    with pytest.raises(CommandError, match="breaking migration 9999_breaking"):
        migrate()


def test_a_migration_that_fails_leaves_those_before_it(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*schema.migrations()[:2], schema.Migration("0003_broken", "create table hark.half (); select 1/0")]
    monkeypatch.setattr(migrator, "migrations", lambda: broken)
    with pytest.raises(CommandError, match="migration 0003_broken: division by zero"):
        migrate()
    assert [name for name, _ in there(empty)] == NAMES[:2]
    assert empty.execute("select to_regclass('hark.half')").fetchone() == (None,)
    # The lock was given back: somebody else can take it.
    assert empty.execute("select pg_try_advisory_lock(%s)", [migrator.LOCK]).fetchone() == (True,)


def test_a_migration_that_does_not_say_that_it_was_applied_is_undone(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [*schema.migrations()[:1], schema.Migration("0002_silent", "create table hark.silent ()")]
    monkeypatch.setattr(migrator, "migrations", lambda: silent)
    with pytest.raises(CommandError, match="migration 0002_silent did not write its row into hark.migrations"):
        migrate()
    assert empty.execute("select to_regclass('hark.silent')").fetchone() == (None,)


def test_two_at_once_apply_each_migration_once(empty: Any) -> None:
    applied: list[list[str]] = []

    def one() -> None:
        try:
            applied.append(migrator.migrate("empty"))
        finally:
            connections["empty"].close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], NAMES]


def test_a_database_that_cannot_have_it(empty: Any) -> None:
    with pytest.raises(CommandError, match="there is no database 'nowhere' in DATABASES"):
        call_command("hark_migrate", "--database", "nowhere")
    with pytest.raises(CommandError, match="Hark lives in PostgreSQL, and the database 'light' is sqlite"):
        call_command("hark_migrate", "--database", "light")
    with pytest.raises(CommandError, match="permission denied"):
        call_command("hark_migrate", "--database", "enqueuer")


def test_manage_py_migrate_does_it_too_if_the_settings_say_so(empty: Any) -> None:
    app = apps.get_app_config("hark")
    with override_settings(HARK_MIGRATE=True):
        app.ready()
    try:
        call_command("migrate", "--database", "empty", "contenttypes", verbosity=0)
        assert [name for name, _ in there(empty)] == NAMES
        # So does the test runner when it makes a database.
        connections["empty"].creation.create_test_db(verbosity=0)
        assert Task.objects.using("empty").create(function="f").state == "ready"
        connections["empty"].creation.destroy_test_db("empty", verbosity=0)
    finally:
        assert pre_migrate.disconnect(migrate_too, sender=app)
        empty.execute("drop schema public cascade; create schema public")


def test_django_has_nothing_to_migrate_itself() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_hark_migrate_agrees(empty: Any, cluster: Any, hark_binary: str) -> None:
    migrate()
    status = subprocess.run([hark_binary, "migrate", "--status", "--database", cluster.url("empty")], capture_output=True, text=True)
    assert status.returncode == 0, status.stdout + status.stderr
    again = subprocess.run([hark_binary, "migrate", "--database", cluster.url("empty")], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert there(empty) == [(migration.name, migration.checksum) for migration in schema.migrations()]
    empty.execute("drop schema hark cascade")
    subprocess.run([hark_binary, "migrate", "--database", cluster.url("empty")], check=True, capture_output=True)
    assert migrate() == "the schema is up to date\n"
