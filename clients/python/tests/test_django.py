"""Django's own connection, and the model: what each role may do with it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import IntegrityError, ProgrammingError, connection, connections, models, transaction
from django.db.models.functions import Now
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from sim import services

import hark
from hark.django.models import Task, Worker

AS_WHOM = pytest.mark.parametrize("alias", ["default", "enqueuer"])


class RollBack(Exception):
    pass


# On Django's connection


@AS_WHOM
def test_enqueue_is_part_of_the_transaction_that_is_open(alias: str) -> None:
    with pytest.raises(RollBack), transaction.atomic(alias):
        hark.enqueue(services.interesting_calculation, [3, 14], using=alias)
        raise RollBack
    assert not Task.objects.exists()
    with transaction.atomic(alias):
        id = hark.enqueue(services.interesting_calculation, [3, 14], using=alias)
        assert not Task.objects.using("viewer").exists()
    assert Task.objects.get().pk == id


def test_a_savepoint_that_is_rolled_back_takes_its_task_with_it() -> None:
    with transaction.atomic():
        kept = hark.enqueue("f")
        with pytest.raises(RollBack), transaction.atomic():
            hark.enqueue("g")
            raise RollBack
    assert Task.objects.get().pk == kept


def test_a_key_that_is_taken_does_not_break_the_transaction() -> None:
    with transaction.atomic():
        assert hark.enqueue("f", unique_key="k") is not None
        assert hark.enqueue("f", unique_key="k") is None
        hark.enqueue("g")
    assert Task.objects.count() == 2


def test_a_refused_task_does_not_break_the_transaction() -> None:
    with transaction.atomic():
        with pytest.raises(hark.InvalidArguments):
            hark.enqueue(services.interesting_calculation, [3])
        hark.enqueue("g")
    assert Task.objects.count() == 1


def test_djangos_connection_may_be_given_itself() -> None:
    assert hark.enqueue("f", connection=connection) == Task.objects.get().pk


def test_async_code_has_aenqueue() -> None:
    async def main() -> Any:
        with pytest.raises(SynchronousOnlyOperation):
            hark.enqueue("f")
        ids = await hark.aenqueue_many("f", [[1], [2]])
        return [await hark.aenqueue(services.wait_for_nothing), *ids]

    assert len(set(asyncio.run(main()))) == 3


class ToTheEnqueuer:
    """A router."""

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return "enqueuer" if model is Task else None


def test_without_an_alias_the_routers_say_which_database() -> None:
    with override_settings(DATABASE_ROUTERS=[ToTheEnqueuer()]), CaptureQueriesContext(connections["enqueuer"]) as queries:
        hark.enqueue("f")
        Task.objects.create(function="g")
    assert len(queries) == 2
    assert Task.objects.count() == 2


def test_another_sort_of_database_is_refused() -> None:
    with pytest.raises(TypeError, match="Django's database 'light' is sqlite"):
        hark.enqueue("f", using="light")


# Creating


@AS_WHOM
def test_creating_a_task_enqueues_it(alias: str, owner: Any) -> None:
    task = Task.objects.using(alias).create(function="sim.services.interesting_calculation", args=[3, 14])
    found = owner.execute("select id, function, args, queue, priority, state, unique_key from hark.tasks").fetchall()
    assert found == [(task.pk, "sim.services.interesting_calculation", [3, 14], "default", 0, "ready", None)]


@AS_WHOM
def test_every_public_column_can_be_set(alias: str, owner: Any) -> None:
    moment = datetime(2040, 1, 2, tzinfo=timezone.utc)
    values = {
        "args": {"a": 3},
        "queue": "mail",
        "priority": -4,
        "run_at": moment,
        "max_attempts": 3,
        "timeout": timedelta(seconds=9),
        "unique_key": "k",
    }
    task = Task(function=services.interesting_calculation, **values)
    task.save(using=alias)
    assert task.function == "sim.services.interesting_calculation"
    found = owner.execute(f"select {', '.join(values)}, state from hark.tasks where id = %s", [task.pk]).fetchone()
    assert found == (*values.values(), "scheduled")


@AS_WHOM
def test_none_is_the_tables_default(alias: str, owner: Any) -> None:
    nothing = dict.fromkeys(["args", "queue", "priority", "run_at", "max_attempts", "timeout", "unique_key"])
    Task.objects.using(alias).create(function="f", **nothing)
    assert owner.execute("select args, queue, priority, run_at = created_at, max_attempts from hark.tasks").fetchall() == [
        ([], "default", 0, True, None)
    ]


@AS_WHOM
def test_many_tasks_are_created_at_once(alias: str, owner: Any) -> None:
    tasks = Task.objects.using(alias).bulk_create(
        [Task(function="f", args=[n], queue="mail" if n % 2 else None, unique_key=None if n else "first") for n in range(500)], batch_size=200
    )
    found = owner.execute("select id, args -> 0, queue, unique_key from hark.tasks order by id").fetchall()
    assert found == [(task.pk, n, "mail" if n % 2 else "default", None if n else "first") for n, task in enumerate(tasks)]


@AS_WHOM
def test_bulk_create_can_leave_out_the_keys_that_are_taken(alias: str, owner: Any) -> None:
    Task.objects.using(alias).create(function="f", unique_key="k")
    Task.objects.using(alias).bulk_create([Task(function="g", unique_key="k"), Task(function="h")], ignore_conflicts=True)
    assert owner.execute("select function from hark.tasks order by id").fetchall() == [("f",), ("h",)]
    with pytest.raises(IntegrityError):
        Task.objects.using(alias).create(function="g", unique_key="k")


@AS_WHOM
def test_an_expression_may_be_a_value(alias: str, owner: Any) -> None:
    Task.objects.using(alias).create(function="f", run_at=Now() + timedelta(minutes=5))
    assert owner.execute("select run_at - created_at, state from hark.tasks").fetchall() == [(timedelta(minutes=5), "scheduled")]


def test_creating_takes_part_in_the_transaction() -> None:
    with pytest.raises(RollBack), transaction.atomic():
        Task.objects.create(function="f")
        raise RollBack
    assert not Task.objects.exists()


@AS_WHOM
def test_the_columns_that_are_harks_cannot_be_set(alias: str, owner: Any) -> None:
    Task.objects.using(alias).create(function="f", state="completed", result={"forged": True}, attempt=7, worker_id=3)
    assert owner.execute("select state, result, attempt, worker_id from hark.tasks").fetchall() == [("ready", None, 0, None)]


def test_what_is_not_allowed_is_refused_with_the_rule() -> None:
    with pytest.raises(IntegrityError, match="priority must be between -10 and 10"):
        Task.objects.create(function="f", priority=20)
    with pytest.raises(hark.InvalidFunction):
        Task.objects.create(function=lambda: None)


def test_a_viewer_may_not_create() -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        Task.objects.using("viewer").create(function="f")


# Reading


def test_a_created_task_reads_the_rest_when_it_is_asked_for() -> None:
    task = Task.objects.create(function="f")
    assert (task.state, task.queue, task.priority, task.args, task.attempt, task.result, task.error) == ("ready", "default", 0, [], 0, None, None)
    assert task.created_at is not None and task.duration is None and not task.is_finished
    assert str(task) == f"{task.pk} f"


def test_an_enqueuer_may_not_read_what_became_of_a_task() -> None:
    task = Task.objects.using("enqueuer").create(function="f")
    with pytest.raises(ProgrammingError, match="permission denied for table tasks"):
        _ = task.state


def test_a_viewer_reads_tasks_before_and_after_their_end(finished: Any) -> None:
    waits = Task.objects.create(function="f")
    completed = finished("completed", result={"n": 4782969})
    failed = finished(
        "failed", errors=[{"kind": "error", "message": "ValueError: no", "attempt": 1, "worker": "w", "at": "2026-01-01T00:00:00+00:00"}]
    )
    tasks = Task.objects.using("viewer")
    assert tasks.get(pk=waits.pk).state == "ready"
    assert tasks.get(pk=completed).result == {"n": 4782969}
    assert tasks.get(pk=completed).duration == timedelta(seconds=90)
    error = tasks.get(pk=failed).error
    assert error is not None and error["message"] == "ValueError: no"
    assert {task.pk for task in tasks.all()} == {waits.pk, completed, failed}


def test_unfinished_and_finished_read_their_own_table(finished: Any) -> None:
    waits = Task.objects.create(function="f")
    failed = finished("failed")
    assert [task.pk for task in Task.objects.unfinished()] == [waits.pk]
    assert [task.pk for task in Task.objects.finished()] == [failed]
    assert [task.pk for task in Task.objects.finished().filter(state="failed", function__startswith="s").order_by("-id")] == [failed]
    assert Task.objects.finished().filter(state="completed").count() == 0
    assert Task.objects.unfinished().aggregate(models.Max("id")) == {"id__max": waits.pk}
    assert "only" in str(Task.objects.unfinished().query) and "tasks_finished" in str(Task.objects.finished().query)
    with pytest.raises(TypeError, match="come first"):
        Task.objects.filter(queue="mail").unfinished()
    # A subquery, and a join by it.
    assert [task.pk for task in Task.objects.filter(pk__in=Task.objects.finished().values("pk"))] == [failed]


def test_workers_can_be_read(worker_row: Any) -> None:
    worker_row("w1", ["default", "mail"])
    worker = Worker.objects.using("viewer").get()
    assert (str(worker), worker.queues, worker.state) == ("w1", ["default", "mail"], "working")


# Changing


def test_retry_and_cancel_say_what_became_of_each(finished: Any) -> None:
    waits, failed, running = Task.objects.create(function="f"), finished("failed"), finished("running")
    changes = Task.objects.using("worker").all().cancel()
    assert [(change.id, change.result, change.note) for change in changes] == [
        (waits.pk, "cancelled", None),
        (failed, "skipped", "already finished as failed"),
        (running, "requested", None),
    ]
    assert [(change.id, change.result) for change in Task.objects.filter(pk__in=[waits.pk, failed]).retry()] == [
        (waits.pk, "ready"),
        (failed, "ready"),
    ]
    assert Task.objects.unfinished().filter(state="ready").count() == 2


def test_a_task_can_be_cancelled_and_retried_itself() -> None:
    task = Task.objects.create(function="f", queue="mail")
    assert task.cancel().result == "cancelled"
    assert (task.state, task.queue, task.is_finished) == ("cancelled", "mail", True)
    assert task.retry().result == "ready"
    assert task.state == "ready"
    Task.objects.all().delete()
    assert task.retry() == (task.pk, "skipped", "not found")


def test_more_than_a_thousand_are_changed_in_portions() -> None:
    hark.enqueue_many("f", [[n] for n in range(2500)])
    assert len(Task.objects.all().cancel()) == 2500
    assert Task.objects.finished().filter(state="cancelled").count() == 2500


def test_a_task_that_is_there_is_not_saved_as_a_whole() -> None:
    task = Task.objects.create(function="f")
    task.priority = 5
    with pytest.raises(TypeError, match="a task that is in the table is changed by"):
        task.save()
    task.save(update_fields=["priority"])
    assert Task.objects.get().priority == 5
    Task.objects.filter(pk=task.pk).update(state="cancelled")
    assert Task.objects.get().state == "cancelled"


def test_update_and_delete_of_unfinished_leave_history_alone(finished: Any) -> None:
    Task.objects.create(function="f")
    failed = finished("failed")
    assert Task.objects.unfinished().update(priority=3) == 1
    assert Task.objects.unfinished().delete()[0] == 1
    assert Task.objects.get().pk == failed
    assert Task.objects.get().priority == 0
    assert Task.objects.finished().delete()[0] == 1


def test_an_enqueuer_may_not_cancel() -> None:
    task = Task.objects.create(function="f")
    with pytest.raises(ProgrammingError, match="permission denied"):
        Task.objects.using("enqueuer").filter(pk=task.pk).cancel()


# The recipe's helper


@AS_WHOM
def test_add_task_of_the_recipe(alias: str, owner: Any) -> None:
    task = Task.objects.db_manager(alias).add_task(module_path="sim.services", function_name="interesting_calculation", function_args=[3, 14])
    assert owner.execute("select id, function, args from hark.tasks").fetchall() == [(task.pk, "sim.services.interesting_calculation", [3, 14])]


@pytest.mark.parametrize(
    ("module_path", "function_name", "function_args", "kind", "message"),
    [
        ("sim.servces", "interesting_calculation", [3, 14], hark.UnknownFunction, "there is no module sim.servces"),
        ("sim.services", "nope", [], hark.UnknownFunction, "sim.services has no function nope"),
        ("sim.services", "interesting_calculation", {"a": 1}, hark.InvalidArguments, "function_args must be a list, not a dict"),
        ("sim.services", "interesting_calculation", "3, 14", hark.InvalidArguments, "function_args must be a list, not a str"),
        ("sim.services", "interesting_calculation", [3], hark.InvalidArguments, "missing a required argument: 'b'"),
        ("sim.services", "interesting_calculation", [3, services], hark.InvalidArguments, "args[1] is a module"),
    ],
)
def test_add_task_refuses_what_the_recipe_refused(
    module_path: str, function_name: str, function_args: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        Task.objects.add_task(module_path, function_name, function_args)
    assert message in str(caught.value)
    assert not Task.objects.exists()
