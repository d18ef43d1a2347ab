"""A row of `hark.tasks` as a TaskResult of Django's Tasks API."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from hark.django import priorities
from hark.django.models import State, Worker
from hark.django.models import Task as Row
from hark.django.tasks_api import TaskError, TaskResult, TaskResultDoesNotExist, TaskResultStatus
from hark.errors import EnqueueError
from hark.functions import find as find_function
from hark.functions import is_django_task

STATUSES = {
    State.SCHEDULED: TaskResultStatus.READY,
    State.BLOCKED: TaskResultStatus.READY,
    State.READY: TaskResultStatus.READY,
    State.RUNNING: TaskResultStatus.RUNNING,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
    State.FAILED: TaskResultStatus.FAILED,
    State.CANCELLED: TaskResultStatus.FAILED,
}

# What went wrong outside of the function has no exception of its own, but the API wants a class.
CLASSES = {"timeout": "builtins.TimeoutError", "cancelled": "hark.Cancel", "crash": "hark.Crashed", "lost": "hark.Lost"}


def find(result_id: str, *, alias: str, database: str) -> Any:
    if not str(result_id).isdecimal() or int(result_id) >= 2**63:
        raise TaskResultDoesNotExist(result_id)
    row: Any = Row.objects.using(database).filter(pk=int(result_id)).first()
    if row is None:
        raise TaskResultDoesNotExist(result_id)
    positional, named = (row.args, {}) if isinstance(row.args, list) else (row.args.pop("*", []), row.args)
    result: Any = TaskResult(
        task=task_of(row, alias),
        id=str(row.pk),
        status=STATUSES[State(row.state)],
        enqueued_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        last_attempted_at=row.started_at or last_error_at(row),
        args=positional,
        kwargs=named,
        backend=alias,
        errors=[error_of(entry) for entry in row.errors or []],
        worker_ids=workers_of(row, database),
    )
    object.__setattr__(result, "_return_value", row.result)
    return result


def task_of(row: Any, alias: str) -> Any:
    """The @task object that the row names, with the row's priority, queue and time."""
    try:
        found = find_function(row.function)
    except EnqueueError as error:
        raise TaskResultDoesNotExist(f"task {row.pk} runs {row.function}, which is not here: {error}") from error
    if not is_django_task(found):
        raise TaskResultDoesNotExist(f"task {row.pk} runs {row.function}, which is no task of Django's Tasks API")
    task = replace(found, backend=alias)
    # Not with using(): an operator may have moved the task to a queue that the settings do not name.
    object.__setattr__(task, "priority", priorities.to_django(row.priority))
    object.__setattr__(task, "queue_name", row.queue)
    object.__setattr__(task, "run_after", row.run_at if row.run_at > row.created_at else None)
    return task


def workers_of(row: Any, database: str) -> list[str]:
    """The names of those who made the attempts, one for each: the API counts attempts by them. An empty one is not known any more."""
    names = {entry.get("attempt"): entry.get("worker") or "" for entry in row.errors or []}
    if row.worker_id is not None:
        worker = Worker.objects.using(database).filter(pk=row.worker_id).first()
        names.setdefault(row.attempt, worker.name if worker else "")
    return [names.get(attempt, "") for attempt in range(1, row.attempt + 1)]


def last_error_at(row: Any) -> datetime | None:
    return datetime.fromisoformat(row.errors[-1]["at"]) if row.errors else None


def error_of(entry: dict[str, Any]) -> Any:
    message, detail = entry.get("message") or "", entry.get("detail") or ""
    path = CLASSES.get(entry.get("kind") or "error") or class_path(message.partition("\n")[0], detail)
    return TaskError(exception_class_path=path, traceback=detail or message)


def class_path(message: str, traceback: str) -> str:
    """The exception's class, from the line of the traceback that has the message: "app.errors.Busy: try later". The message is that line, or,
    with hark.Retry and its like, the reason alone. An error without a traceback has the line as its message."""
    for line in [*reversed(traceback.splitlines()), message]:
        name, _, rest = line.partition(": ")
        if message not in (line, rest) and not (len(message) > 400 and line.startswith(message[:400])):
            continue
        if re.fullmatch(r"\w+(\.\w+)+", name):
            return name
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return f"builtins.{name}"
    return "hark.Failed"
