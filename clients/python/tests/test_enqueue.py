"""hark.enqueue on psycopg's connections: what is in the row, whose transaction it is, and who may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sim import services

import hark

COLUMNS = "function, args, queue, priority, state, max_attempts, timeout, unique_key"


@pytest.fixture
def enqueuer(cluster: Any) -> Iterator[psycopg.Connection[Any]]:
    """In a role that has the grants of an enqueuer and nothing else."""
    with psycopg.connect(cluster.url("app", "hark_enqueuer")) as connection:
        yield connection


def row(owner: psycopg.Connection[Any], id: int | None, columns: str = COLUMNS) -> tuple[Any, ...]:
    found = owner.execute(f"select {columns} from hark.tasks where id = %s", [id]).fetchone()
    assert found is not None, f"there is no task {id}"
    return found


def test_a_task_is_a_row_with_the_defaults_of_the_table(enqueuer: Any, owner: Any) -> None:
    id = hark.enqueue(services.interesting_calculation, [3, 14], connection=enqueuer)
    enqueuer.commit()
    assert row(owner, id) == ("sim.services.interesting_calculation", [3, 14], "default", 0, "ready", None, None, None)


def test_every_option_is_its_column(enqueuer: Any, owner: Any) -> None:
    moment = datetime(2040, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    id = hark.enqueue(
        "sim.services.create_another_model",
        {"name": "Robert", "value": 13},
        queue="mail",
        priority=-3,
        run_at=moment,
        max_attempts=4,
        timeout=2.5,
        unique_key="a key",
        connection=enqueuer,
    )
    enqueuer.commit()
    assert row(owner, id) == (
        "sim.services.create_another_model",
        {"name": "Robert", "value": 13},
        "mail",
        -3,
        "scheduled",
        4,
        timedelta(seconds=2.5),
        "a key",
    )
    assert row(owner, id, "run_at") == (moment,)


def test_a_timedelta_counts_from_the_servers_now(enqueuer: Any, owner: Any) -> None:
    id = hark.enqueue("f", run_at=timedelta(minutes=5), connection=enqueuer)
    enqueuer.commit()
    assert row(owner, id, "run_at - created_at") == (timedelta(minutes=5),)


def test_text_of_every_sort_arrives_as_it_is(enqueuer: Any, owner: Any) -> None:
    texts = ["ü 漢 🦉", "back\\slash", '"quotes"', "%s %(a)s", "\\u0000 in six characters", "line\nline", ""]
    id = hark.enqueue("f", texts, connection=enqueuer, unique_key="100 %s")
    enqueuer.commit()
    assert row(owner, id, "args, unique_key") == (texts, "100 %s")


def test_a_transaction_that_is_rolled_back_leaves_nothing(enqueuer: Any, owner: Any) -> None:
    id = hark.enqueue("f", connection=enqueuer)
    enqueuer.rollback()
    assert owner.execute("select count(*) from hark.tasks where id = %s", [id]).fetchone() == (0,)


def test_nothing_is_seen_before_the_commit(enqueuer: Any, owner: Any) -> None:
    hark.enqueue("f", connection=enqueuer)
    assert owner.execute("select count(*) from hark.tasks").fetchone() == (0,)
    enqueuer.commit()
    assert owner.execute("select count(*) from hark.tasks").fetchone() == (1,)


def test_an_unfinished_task_keeps_its_unique_key(enqueuer: Any, owner: Any) -> None:
    first = hark.enqueue("f", unique_key="k", connection=enqueuer)
    assert hark.enqueue("f", unique_key="k", connection=enqueuer) is None
    enqueuer.commit()
    assert hark.enqueue("g", unique_key="k", connection=enqueuer) is None
    enqueuer.commit()
    owner.execute("update hark.tasks set state = 'cancelled' where id = %s", [first])
    assert hark.enqueue("f", unique_key="k", connection=enqueuer) is not None


def test_of_fifty_at_once_one_gets_the_unique_key(cluster: Any, owner: Any) -> None:
    answers: list[int | None] = []
    ready = threading.Barrier(50)

    def client() -> None:
        with psycopg.connect(cluster.url("app", "hark_enqueuer"), autocommit=True) as connection:
            ready.wait()
            answers.append(hark.enqueue("f", unique_key="k", connection=connection))

    threads = [threading.Thread(target=client) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    winner = [id for id in answers if id is not None]
    assert len(winner) == 1
    assert owner.execute("select id from hark.tasks").fetchall() == [(winner[0],)]


def test_connections_with_rows_and_cursors_of_their_own_taste_work_too(cluster: Any, owner: Any) -> None:
    url = cluster.url("app", "hark_enqueuer")
    with psycopg.connect(url, row_factory=dict_row) as connection:  # type: ignore[arg-type]
        assert isinstance(hark.enqueue("f", connection=connection), int)
    with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as connection:
        assert isinstance(hark.enqueue("f", connection=connection), int)
    with psycopg.connect(url) as connection, connection.pipeline():
        assert isinstance(hark.enqueue("f", connection=connection), int)
    assert owner.execute("select count(*) from hark.tasks").fetchone() == (3,)


def test_many_tasks_are_one_statement_and_their_ids_are_in_order(enqueuer: Any, owner: Any) -> None:
    ids = hark.enqueue_many(services.interesting_calculation, ([2, n] for n in range(1000)), queue="many", priority=4, connection=enqueuer)
    enqueuer.commit()
    found = owner.execute("select id, args -> 1, queue, priority from hark.tasks order by id").fetchall()
    assert found == [(id, n, "many", 4) for n, id in enumerate(ids)]
    assert hark.enqueue_many("f", [], connection=enqueuer) == []


def test_one_bad_element_of_many_inserts_nothing(enqueuer: Any, owner: Any) -> None:
    with pytest.raises(hark.InvalidArguments):
        hark.enqueue_many(services.interesting_calculation, [[2, 3], [2]], connection=enqueuer)
    enqueuer.commit()
    assert owner.execute("select count(*) from hark.tasks").fetchone() == (0,)


def test_async_connections(cluster: Any, owner: Any) -> None:
    async def main() -> list[Any]:
        async with await psycopg.AsyncConnection.connect(cluster.url("app", "hark_enqueuer")) as connection:
            one = await hark.aenqueue(services.wait_for_nothing, connection=connection, unique_key="k")
            none = await hark.aenqueue(services.wait_for_nothing, connection=connection, unique_key="k")
            return [one, none, *await hark.aenqueue_many("f", [[1], [2]], connection=connection)]

    one, none, *two = asyncio.run(main())
    assert none is None
    assert owner.execute("select id from hark.tasks order by id").fetchall() == [(one,), (two[0],), (two[1],)]


def test_the_wrong_sort_of_connection_is_said_so(cluster: Any, enqueuer: Any) -> None:
    with pytest.raises(TypeError, match="must be a connection of psycopg 3 or of Django, not a builtins.str"):
        hark.enqueue("f", connection="postgresql:///app")
    with pytest.raises(TypeError, match="not both"):
        hark.enqueue("f", connection=enqueuer, using="default")

    async def main() -> None:
        with pytest.raises(TypeError, match="would block the event loop"):
            await hark.aenqueue("f", connection=enqueuer)
        async with await psycopg.AsyncConnection.connect(cluster.url("app")) as connection:
            with pytest.raises(TypeError, match="await hark.aenqueue"):
                hark.enqueue("f", connection=connection)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("queue", "", "queue must have 1 to 100 characters, and '' has 0"),
        ("queue", "q" * 101, "has 101"),
        ("queue", 7, "queue must be text, not 7"),
        ("queue", "a\0b", "NUL"),
        ("priority", 11, "priority must be a whole number between -10 and 10, not 11"),
        ("priority", 1.5, "not 1.5"),
        ("priority", True, "not True"),
        ("run_at", "tomorrow", "run_at must be a datetime, or a timedelta from now, not 'tomorrow'"),
        ("run_at", datetime(2040, 1, 1), "run_at must say its time zone"),
        ("max_attempts", 0, "max_attempts must be a whole number between 1 and 1000, not 0"),
        ("max_attempts", 1001, "not 1001"),
        ("timeout", 0, "above zero and at most a year, not"),
        ("timeout", -1, "above zero"),
        ("timeout", timedelta(days=400), "at most a year"),
        ("timeout", float("nan"), "timeout must be a number of seconds"),
        ("timeout", 1e300, "timeout must be a number of seconds"),
        ("timeout", "3s", "timeout must be a number of seconds"),
        ("unique_key", "", "unique_key must have 1 to 500 characters"),
        ("unique_key", "k" * 501, "has 501"),
    ],
)
def test_a_bad_option_is_refused_before_the_database_is_asked(enqueuer: Any, option: str, value: object, message: str) -> None:
    with pytest.raises(hark.EnqueueError) as caught:
        hark.enqueue("f", connection=enqueuer, **{option: value})  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert enqueuer.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_what_python_lets_through_and_the_table_does_not_names_the_rule(enqueuer: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="timeout must be longer than zero and at most a year"):
        hark.enqueue("f", timeout=timedelta(days=366), connection=enqueuer)


def test_a_viewer_may_not_enqueue_and_an_enqueuer_may_not_read(cluster: Any, enqueuer: Any) -> None:
    with psycopg.connect(cluster.url("app", "hark_viewer")) as viewer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        hark.enqueue("f", connection=viewer)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        enqueuer.execute("select args from hark.tasks")


def test_without_the_schema_the_database_says_so(cluster: Any) -> None:
    with psycopg.connect(cluster.url("empty")) as connection, pytest.raises(psycopg.errors.UndefinedTable, match=r'"hark.tasks" does not exist'):
        hark.enqueue("f", connection=connection)
