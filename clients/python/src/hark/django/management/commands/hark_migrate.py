from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from hark.django import migrator


class Command(BaseCommand):
    help = "Applies Hark's schema, as `hark migrate` does."
    requires_system_checks: list[str] = []  # they would say that the schema is missing

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help='the database to apply it to; "default" if not given')
        parser.add_argument("--check", action="store_true", help="apply nothing; exit with 1 if something is missing")

    def handle(self, *_: Any, database: str, check: bool, **__: Any) -> None:
        if database not in connections:
            raise CommandError(f"there is no database {database!r} in DATABASES")
        if connections[database].vendor != "postgresql":
            raise CommandError(f"Hark lives in PostgreSQL, and the database {database!r} is {connections[database].vendor}")
        try:
            if check:
                names = [migration.name for migration in migrator.missing(migrator.applied(database))]
                if names:
                    raise CommandError(f"not applied to the database {database!r}: {', '.join(names)}", returncode=1)
            else:
                for name in migrator.migrate(database):
                    self.stdout.write(f"applied {name}")
        except (migrator.SchemaError, DatabaseError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("the schema is up to date")
