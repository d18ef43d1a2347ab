"""Django's Tasks API on Hark, without a worker: what is enqueued, read back, and run by hand as a worker's interpreter does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import transaction
from django.test import override_settings
from django.utils import timezone as django_timezone
from psycopg.types.json import Jsonb
from sim import tasks

import hark
from hark.django import HarkBackend, priorities
from hark.django.models import Task
from hark.django.tasks_api import TaskResultDoesNotExist, TaskResultStatus, task_enqueued, task_finished, task_started


def row(id: str, *columns: str) -> Any:
    return Task.objects.values_list(*columns).get(pk=int(id))


@contextmanager
def heard(signal: Any) -> Iterator[list[Any]]:
    results: list[Any] = []

    def hear(task_result: Any, **_: Any) -> None:
        results.append((task_result.id, task_result.status))

    signal.connect(hear)
    try:
        yield results
    finally:
        signal.disconnect(hear)


# Enqueueing


def test_enqueue_is_a_row() -> None:
    with heard(task_enqueued) as results:
        result = tasks.add.enqueue(3, 14)
    assert isinstance(result.id, str) and results == [(result.id, TaskResultStatus.READY)]
    assert (result.status, result.attempts, result.errors, result.is_finished, result.backend) == (TaskResultStatus.READY, 0, [], False, "default")
    assert row(result.id, "function", "args", "queue", "priority", "state") == ("sim.tasks.add", [3, 14], "default", 0, "ready")


@pytest.mark.parametrize(
    ("args", "kwargs", "stored"),
    [
        ((), {}, []),
        (("a", "b"), {}, ["a", "b"]),
        ((), {"subject": "s"}, {"subject": "s"}),
        (("a", "b"), {"subject": "s"}, {"*": ["a", "b"], "subject": "s"}),
    ],
)
def test_positional_and_named_arguments(args: Any, kwargs: Any, stored: Any) -> None:
    result = tasks.mail.enqueue(*args, **kwargs)
    assert row(result.id, "args")[0] == stored
    again = tasks.mail.get_result(result.id)
    assert (again.args, again.kwargs) == (list(args), kwargs)


def test_queue_priority_and_time() -> None:
    moment = datetime(2040, 1, 2, tzinfo=timezone.utc)
    result = tasks.mail.using(priority=-30, queue_name="default", run_after=moment).enqueue()
    assert row(result.id, "queue", "priority", "run_at", "state") == ("default", 7, moment, "scheduled")
    task = tasks.mail.get_result(result.id).task
    assert (task.queue_name, task.priority, task.run_after, task.func) == ("default", -30, moment, tasks.mail.func)
    assert row(tasks.mail.enqueue().id, "queue", "priority") == ("mail", -5)


def test_a_naive_time_is_the_projects_own_without_use_tz() -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Paris"):
        result = tasks.add.using(run_after=datetime(2040, 1, 2)).enqueue(1)
    assert row(result.id, "run_at")[0] == datetime(2040, 1, 1, 23, tzinfo=timezone.utc)


def test_enqueue_is_part_of_the_transaction() -> None:
    class RollBack(Exception): ...

    with pytest.raises(RollBack), transaction.atomic():
        result = tasks.add.enqueue(1)
        raise RollBack
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(result.id)


def test_the_async_methods() -> None:
    async def main() -> Any:
        result = await tasks.later.aenqueue(n=1)
        again = await tasks.later.aget_result(result.id)
        await again.arefresh()
        return again

    assert asyncio.run(main()).status == TaskResultStatus.READY


def test_an_enqueuer_may_enqueue(owner: Any) -> None:
    with override_settings(TASKS={"default": {"BACKEND": "hark.django.HarkBackend", "OPTIONS": {"database": "enqueuer"}}}):
        result = tasks.add.enqueue(1)
    assert owner.execute("select id, function from hark.tasks").fetchall() == [(int(result.id), "sim.tasks.add")]


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(hark.InvalidArguments, match="missing a required argument: 'a'"):
        tasks.add.enqueue()
    with pytest.raises(hark.InvalidArguments, match="missing a required argument: 'n'"):
        tasks.patient.enqueue()
    with pytest.raises(TypeError):
        tasks.add.enqueue(object())
    with pytest.raises(hark.InvalidFunction, match="begin with _"):
        tasks.renamed.enqueue(1)
    with pytest.raises(hark.InvalidArguments, match="cannot be named"):
        tasks.mail.enqueue(**{"*": [1]})
    with pytest.raises(Exception, match="Queue 'nowhere' is not valid"):
        tasks.add.using(queue_name="nowhere")
    assert not Task.objects.exists()


def test_hark_enqueue_takes_a_task_too() -> None:
    id = hark.enqueue(tasks.patient, [3])
    assert tasks.patient.get_result(str(id)).args == [3]
    with pytest.raises(hark.InvalidArguments, match="too many positional"):
        hark.enqueue("sim.tasks.patient", [1, 2])


def test_the_backend_says_what_it_can() -> None:
    backend = tasks.add.get_backend()
    assert isinstance(backend, HarkBackend)
    assert (backend.supports_defer, backend.supports_async_task, backend.supports_get_result, backend.supports_priority) == (True,) * 4


# Priorities


def test_priorities_keep_their_order() -> None:
    levels = [priorities.to_hark(priority) for priority in range(-100, 101)]
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[100], levels[200]) == (10, 0, -10)
    assert set(levels) == set(range(-10, 11))
    assert all(level != 0 for priority, level in zip(range(-100, 101), levels, strict=True) if priority)


def test_the_steps_of_priority_are_exact() -> None:
    for level in range(-10, 11):
        assert priorities.to_hark(priorities.to_django(level)) == level
    for step in priorities.STEPS:
        assert priorities.to_django(priorities.to_hark(step)) == step and priorities.to_django(priorities.to_hark(-step)) == -step
    assert priorities.to_django(priorities.to_hark(42)) == 30


# Results


def error(kind: str, message: str, attempt: int = 1, detail: str | None = None) -> dict[str, Any]:
    return {
        "kind": kind,
        "message": message,
        "detail": detail,
        "attempt": attempt,
        "worker": f"w{attempt}",
        "at": f"2026-01-0{attempt}T00:00:00+00:00",
    }


def test_a_completed_task(finished: Any, worker_row: Any) -> None:
    worker = worker_row("w2", ["default"])
    id = finished("completed", "sim.tasks.add", args=[1, 2], result=3, attempt=2, errors=[error("error", "ValueError: no")], worker_id=worker)
    result = tasks.add.get_result(str(id))
    assert (result.status, result.return_value, result.is_finished) == (TaskResultStatus.SUCCESSFUL, 3, True)
    assert (result.attempts, result.worker_ids) == (2, ["w1", "w2"])
    assert result.finished_at is not None and result.started_at == result.last_attempted_at
    assert result.enqueued_at is not None and result.started_at is not None and result.enqueued_at < result.started_at < result.finished_at


def test_a_completed_task_that_returned_nothing(finished: Any) -> None:
    assert tasks.add.get_result(str(finished("completed", "sim.tasks.add", args=[1]))).return_value is None


def test_a_failed_task(finished: Any) -> None:
    errors = [error("error", "sim.tasks.Busy: try later", 1, "Traceback ...\nsim.tasks.Busy: try later"), error("timeout", "ran longer than 3 s", 2)]
    result = tasks.add.get_result(str(finished("failed", "sim.tasks.add", args=[1], attempt=2, errors=errors)))
    assert result.status == TaskResultStatus.FAILED
    assert [one.exception_class for one in result.errors] == [tasks.Busy, TimeoutError]
    assert [one.traceback for one in result.errors] == ["Traceback ...\nsim.tasks.Busy: try later", "ran longer than 3 s"]
    assert result.worker_ids == ["w1", "w2"]
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("error", "ValueError: no", ValueError),
        ("error", "ValueError", ValueError),
        ("error", "sim.tasks.Busy", tasks.Busy),
        ("error", "exit code 3", hark.Failed),
        ("error", "Note: this is no class", hark.Failed),
        ("error", "no use\nTraceback\n  raise hark.Fail\nhark.verdicts.Fail: no use", hark.Fail),
        ("error", "app.error: broken\nTraceback\nsim.tasks.Busy: app.error: broken\nsecond line", tasks.Busy),
        ("error", "sim.tasks.Busy: " + "x" * 484 + "\nTraceback\nsim.tasks.Busy: " + "x" * 600, tasks.Busy),
        ("error", "print: is no exception", hark.Failed),
        ("error", "", hark.Failed),
        ("crash", "ended by signal 11", hark.Crashed),
        ("lost", "worker w died while it ran", hark.Lost),
        ("cancelled", "cancelled by app before it ran", hark.Cancel),
        ("timeout", "", TimeoutError),
    ],
)
def test_every_error_has_a_class(finished: Any, kind: str, message: str, expected: type[BaseException]) -> None:
    message, _, detail = message.partition("\n")
    id = finished("failed", "sim.tasks.add", args=[1], errors=[error(kind, message, detail=detail)])
    assert tasks.add.get_result(str(id)).errors[0].exception_class is expected


@pytest.mark.parametrize(
    ("state", "status"),
    [("running", TaskResultStatus.RUNNING), ("cancelled", TaskResultStatus.FAILED), ("failed", TaskResultStatus.FAILED)],
)
def test_states_and_statuses(finished: Any, state: str, status: Any) -> None:
    assert tasks.add.get_result(str(finished(state, "sim.tasks.add", args=[1]))).status == status


def test_a_task_that_waits_for_its_next_attempt_is_ready_with_its_errors(owner: Any) -> None:
    result = tasks.add.enqueue(1)
    owner.execute("set hark.worker = on")
    sql = "update hark.tasks set state = 'scheduled', run_at = now() + '1 hour', attempt = 1, errors = %s where id = %s"
    owner.execute(sql, [Jsonb([error("error", "ValueError: no")]), int(result.id)])
    result.refresh()
    assert (result.status, result.attempts, [one.exception_class for one in result.errors]) == (TaskResultStatus.READY, 1, [ValueError])
    assert result.last_attempted_at == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_a_task_that_was_moved_to_a_queue_that_the_settings_do_not_name() -> None:
    result = tasks.add.enqueue(1)
    Task.objects.filter(pk=int(result.id)).update(queue="elsewhere")
    assert tasks.add.get_result(result.id).task.queue_name == "elsewhere"


@pytest.mark.parametrize("id", ["1", "nonsense", "", "-1", "9" * 30, "1.5", "²"])
def test_a_result_that_is_not_there(id: str) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(id)


def test_a_result_of_something_else(finished: Any) -> None:
    with pytest.raises(Exception, match="Task does not match"):
        tasks.add.get_result(tasks.mail.enqueue().id)
    for function in ("sim.tasks.plain", "sim.tasks.gone", "resize_image"):
        with pytest.raises(TaskResultDoesNotExist, match=function):
            tasks.add.get_result(str(finished("failed", function)))


# Running, as a worker's interpreter does


def current(attempt: int = 1, max_attempts: int = 3) -> Any:
    return SimpleNamespace(id=42, attempt=attempt, max_attempts=max_attempts)


def run(task: Any, *args: Any, now: Any = None, **kwargs: Any) -> Any:
    return task.get_backend().run_hark_task(task, now or current(), list(args), kwargs)


def test_a_task_is_run_with_its_signals() -> None:
    with heard(task_started) as started, heard(task_finished) as ended:
        assert run(tasks.add, 1, b=2) == 3
    assert started == [("42", TaskResultStatus.RUNNING)]
    assert ended == [("42", TaskResultStatus.SUCCESSFUL)]


def test_a_context_says_which_attempt_it_is() -> None:
    assert run(tasks.patient, 7, now=current(attempt=2)) == [2, "42", 7]


def test_an_async_function_is_run_as_a_coroutine() -> None:
    with heard(task_finished) as ended:
        assert asyncio.run(run(tasks.later, 1)) == 2
        assert asyncio.run(run(tasks.later_with_context, n=1, now=current(attempt=3))) == [3, 1]
    assert ended == [("42", TaskResultStatus.SUCCESSFUL)] * 2


@pytest.mark.parametrize(
    ("kind", "attempt", "error", "is_the_end"),
    [
        ("busy", 1, tasks.Busy, False),
        ("busy", 3, tasks.Busy, True),
        ("retry", 1, hark.Retry, False),
        ("retry", 3, hark.Retry, True),
        ("fail", 1, hark.Fail, True),
        ("snooze", 3, hark.Snooze, False),
        ("exit", 3, SystemExit, True),
    ],
)
def test_task_finished_is_for_the_last_attempt(kind: str, attempt: int, error: type[BaseException], is_the_end: bool) -> None:
    with heard(task_finished) as ended, pytest.raises(error):
        run(tasks.fails, kind, now=current(attempt))
    assert ended == ([("42", TaskResultStatus.FAILED)] if is_the_end else [])


def test_arguments_that_do_not_fit_fail_at_once() -> None:
    with heard(task_finished) as ended, pytest.raises(hark.Fail, match="arguments do not fit sim.tasks.add.*missing a required argument: 'a'"):
        run(tasks.add)
    assert ended == [("42", TaskResultStatus.FAILED)]
    with pytest.raises(hark.Fail, match="arguments do not fit sim.tasks.later_with_context"):
        asyncio.run(run(tasks.later_with_context, 1, 2, 3))
    with pytest.raises(TypeError):  # from inside
        run(tasks.add, "a", b=1)


def test_a_receiver_that_fails_does_not_undo_the_work() -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("a receiver is broken")

    task_finished.connect(broken)
    try:
        assert run(tasks.add, 1) == 1
    finally:
        task_finished.disconnect(broken)


# Settings


@pytest.mark.parametrize(
    ("entry", "id", "message"),
    [
        ({"OPTIONS": {"databse": "default"}}, "hark.E002", "has databse, which HarkBackend does not know"),
        ({"OPTIONS": {"database": "nowhere"}}, "hark.E003", "'nowhere', which is not in DATABASES"),
        ({"QUEUES": ["q" * 101]}, "hark.E004", "a queue has 1 to 100 characters"),
    ],
)
def test_a_mistake_in_the_settings_is_found_by_check(entry: dict[str, Any], id: str, message: str) -> None:
    with override_settings(TASKS={"default": {"BACKEND": "hark.django.HarkBackend", **entry}}):
        found = {check.id: check.msg for check in run_checks()}
    assert message in found[id]


def test_times_are_aware() -> None:
    result = tasks.add.enqueue(1)
    assert result.enqueued_at is not None and django_timezone.now() - result.enqueued_at < timedelta(minutes=1)
    assert tasks.add.get_result(result.id).enqueued_at.tzinfo is not None
