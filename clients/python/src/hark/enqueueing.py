"""enqueue: one plain INSERT into `hark.tasks`, in the caller's transaction.

A worker sees the task when that transaction is committed, and never if it is rolled back. The role needs the grants of
`hark_enqueuer` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hark import options
from hark.arguments import check_fit, to_json
from hark.connections import arows, rows
from hark.errors import InvalidFunction
from hark.functions import Function, find, name_of, plain

Arguments = Sequence[Any] | dict[str, Any] | None


class Statement(NamedTuple):
    sql: str
    parameters: list[object]


def enqueue(
    function: Function,
    args: Arguments = None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: datetime | timedelta | None = None,
    max_attempts: int | None = None,
    timeout: float | timedelta | None = None,
    unique_key: str | None = None,
    validate: bool = True,
    connection: object = None,
    using: str | None = None,
) -> int | None:
    """Inserts a task and returns its id; None when an unfinished task has its unique_key already.

    function: what to run, a function or its name, "sim.services.interesting_calculation"; a name without a dot is an executable's or
        a Swift function's.
    args: a list for `*args`, a dict for `**kwargs`; {"*": [1, 2], "c": 3} is f(1, 2, c=3).
    queue: 1 to 100 characters, "default" if not given.
    priority: -10 to 10, lower first.
    run_at: not before; a datetime with a time zone, or a timedelta from now.
    max_attempts: 1 to 1000; as the worker is configured, if not given.
    timeout: in seconds, or a timedelta; as the worker is configured, if not given.
    unique_key: at most one unfinished task has it.
    validate: False for a function that lives in another code base, and cannot be imported here.
    connection: a psycopg 3 connection, or one of Django. Without it, Django's own: of the alias `using`, or that of its routers.

    Raises EnqueueError, and the database's own errors.
    """
    statement = single(function, args, validate, options.columns(queue, priority, run_at, max_attempts, timeout, unique_key))
    return first_id(rows(connection, using, *statement))


async def aenqueue(
    function: Function,
    args: Arguments = None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: datetime | timedelta | None = None,
    max_attempts: int | None = None,
    timeout: float | timedelta | None = None,
    unique_key: str | None = None,
    validate: bool = True,
    connection: object = None,
    using: str | None = None,
) -> int | None:
    """As `enqueue`, on a psycopg.AsyncConnection, or on Django's own connection."""
    statement = single(function, args, validate, options.columns(queue, priority, run_at, max_attempts, timeout, unique_key))
    return first_id(await arows(connection, using, *statement))


def enqueue_many(
    function: Function,
    many_args: Iterable[Arguments],
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: datetime | timedelta | None = None,
    max_attempts: int | None = None,
    timeout: float | timedelta | None = None,
    validate: bool = True,
    connection: object = None,
    using: str | None = None,
) -> list[int]:
    """Inserts a task of one function for each of many arguments, with one statement. Returns their ids, in the same order."""
    statement = several(function, many_args, validate, options.columns(queue, priority, run_at, max_attempts, timeout, None))
    return [row[0] for row in rows(connection, using, *statement)]


async def aenqueue_many(
    function: Function,
    many_args: Iterable[Arguments],
    *,
    queue: str | None = None,
    priority: int | None = None,
    run_at: datetime | timedelta | None = None,
    max_attempts: int | None = None,
    timeout: float | timedelta | None = None,
    validate: bool = True,
    connection: object = None,
    using: str | None = None,
) -> list[int]:
    """As `enqueue_many`, on a psycopg.AsyncConnection, or on Django's own connection."""
    statement = several(function, many_args, validate, options.columns(queue, priority, run_at, max_attempts, timeout, None))
    return [row[0] for row in await arows(connection, using, *statement)]


def single(function: Function, args: Arguments, validate: bool, columns: list[options.Column]) -> Statement:
    name, texts = checked(function, [args], validate)
    names = ["function", "args", *(column.name for column in columns)]
    values = ["%s", "%s::jsonb", *(column.sql for column in columns)]
    unique = "on conflict (unique_key) where unique_key is not null do nothing " if "unique_key" in names else ""
    sql = f"insert into hark.tasks ({', '.join(names)}) values ({', '.join(values)}) {unique}returning id"
    return Statement(sql, [name, texts[0], *(column.value for column in columns)])


def several(function: Function, many_args: Iterable[Arguments], validate: bool, columns: list[options.Column]) -> Statement:
    name, texts = checked(function, many_args, validate)
    names = ["function", "args", *(column.name for column in columns)]
    values = ["%s", "a.args::jsonb", *(column.sql for column in columns)]
    # Sorted, the rows are given their ids in the order of the list.
    source = "unnest(%s::text[]) with ordinality a (args, n) order by a.n"
    sql = f"insert into hark.tasks ({', '.join(names)}) select {', '.join(values)} from {source} returning id"
    return Statement(sql, [name, *(column.value for column in columns), texts])


def checked(function: Function, many_args: Iterable[Arguments], validate: bool) -> tuple[str, list[str]]:
    """The function's name and each arguments' JSON."""
    name = name_of(function)
    found = find(name) if validate else None
    if found is not None and not isinstance(function, str) and plain(found) is not plain(function):
        raise InvalidFunction(f"{name} is another function than the one that was given: a worker would find that one")
    texts: list[str] = []
    for args in many_args:
        texts.append(to_json(args))
        if found is not None:
            check_fit(name, found, args)
    return name, texts


def first_id(found: list[tuple[Any, ...]]) -> int | None:
    return found[0][0] if found else None
