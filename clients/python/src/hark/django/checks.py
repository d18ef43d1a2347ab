"""`manage.py check --database default`: is the schema there, and does somebody work the queues?

All are warnings. An error would stop `manage.py migrate`, which may have to come first, and the tests of a project whose test database has no
Hark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import connections

from hark.connections import default_alias
from hark.django.migrator import applied, missing, unknown_breaking
from hark.django.settings import backends

RIGHTS = """
    select has_schema_privilege(n.oid, 'usage'), has_table_privilege(m.oid, 'select'), has_table_privilege(w.oid, 'select')
    from pg_namespace n
    join pg_class m on m.relnamespace = n.oid and m.relname = 'migrations'
    left join pg_class w on w.relnamespace = n.oid and w.relname = 'workers'
    where n.nspname = 'hark'
"""


def check_schema(app_configs: Any = None, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Registered for the tag `database`: Django calls it with the databases that were named."""
    queues: dict[str, set[str]] = {default_alias(): set()}
    for entry in backends().values():
        alias = entry.get("OPTIONS", {}).get("database") or default_alias()
        queues.setdefault(alias, set()).update(entry.get("QUEUES", ["default"]))
    return [message for alias in databases or [] if alias in queues for message in check_database(alias, queues[alias])]


def check_database(alias: str, queues: set[str]) -> Iterator[CheckMessage]:
    connection = connections[alias]
    if connection.vendor != "postgresql":
        yield Warning(f"Hark's tables are in PostgreSQL, and the database {alias!r} is {connection.vendor}", hint=ELSEWHERE, id="hark.W001")
        return
    with connection.cursor() as cursor:
        cursor.execute(RIGHTS)
        rights = cursor.fetchone()
    if rights is None:
        yield Warning(f"the database {alias!r} has no hark schema", hint=MIGRATE, id="hark.W002")
        return
    may_use, may_read_migrations, may_read_workers = rights
    if not may_use:
        yield Warning(f"the role of the database {alias!r} may not use the schema hark", hint="grant hark_enqueuer to it", id="hark.W003")
        return
    if may_read_migrations:  # an enqueuer may not, and need not
        there = applied(alias)
        if absent := missing(there):
            names = ", ".join(migration.name for migration in absent)
            yield Warning(
                f"the hark schema of the database {alias!r} is too old for this version of hark-tasks: {names}", hint=MIGRATE, id="hark.W004"
            )
        if name := unknown_breaking(there):
            yield Warning(
                f"the hark schema of the database {alias!r} is too new for this version of hark-tasks: it has the breaking migration {name}",
                hint="Install a later hark-tasks.",
                id="hark.W005",
            )
    if queues and may_read_workers:
        yield from check_queues(alias, queues)


def check_queues(alias: str, queues: set[str]) -> Iterator[CheckMessage]:
    with connections[alias].cursor() as cursor:
        cursor.execute("select queues from hark.workers")
        worked = [set(row[0]) for row in cursor.fetchall()]
    idle = sorted(queues.difference(*worked))
    if not worked:
        yield Warning(f"no worker works on the database {alias!r}", hint="hark work", id="hark.W006")
    elif idle:
        options = " ".join(f"--queue {queue}" for queue in idle)
        yield Warning(
            f"TASKS names queues that no worker of the database {alias!r} works: {', '.join(idle)}", hint=f"hark work {options}", id="hark.W007"
        )


MIGRATE = "Run `manage.py hark_migrate`, or `hark migrate`, with a role that may create it."
ELSEWHERE = 'Name its database with a router, or with TASKS = {"default": {"OPTIONS": {"database": ...}}}.'
