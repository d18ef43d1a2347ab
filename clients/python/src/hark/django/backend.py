"""The backend for Django's Tasks API: `TASKS = {"default": {"BACKEND": "hark.django.HarkBackend"}}`.

It enqueues, reads results, and, inside a worker's interpreter, runs: the worker finds the `@task` object under its function's name and calls
`run_hark_task`, which gives the function its context and sends the signals.

enqueue() is an INSERT in the transaction that is open, so a task of a transaction that is rolled back never was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import connections
from django.utils import timezone

from hark.connections import default_alias
from hark.current import CurrentTask
from hark.django import priorities, results
from hark.django.attempts import new_result, run, unseen
from hark.django.tasks_api import BaseTaskBackend, task_enqueued
from hark.enqueueing import enqueue
from hark.errors import InvalidArguments, InvalidFunction
from hark.functions import find, is_django_task

OPTIONS = {"database"}


class HarkBackend(BaseTaskBackend):
    """OPTIONS may have "database", the alias of the database that has Hark's tables; without it the routers say which."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    @property
    def database(self) -> str:
        return str(self.options.get("database") or default_alias())

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Inserts the task and returns a result that is READY. Raises EnqueueError when no worker could run it."""
        self.validate_task(task)
        if not is_django_task(find(task.module_path)):
            raise InvalidFunction(f"{task.module_path} is no task: give the task the name of its function, as the decorator does")
        result = new_result(task, self.alias, list(args), dict(kwargs))
        id = enqueue(
            task,
            one_value(result.args, result.kwargs),
            queue=task.queue_name,
            priority=priorities.to_hark(task.priority) or None,
            run_at=aware(task.run_after),
            using=self.database,
        )
        object.__setattr__(result, "id", str(id))
        object.__setattr__(result, "enqueued_at", timezone.now())
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """The task's result as it is now. Raises TaskResultDoesNotExist. Reading takes the grants of hark_viewer."""
        return results.find(result_id, alias=self.alias, database=self.database)

    @unseen
    def run_hark_task(self, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Called by Hark's worker, in its interpreter, for each attempt. Returns what the function returns: a coroutine if it is async."""
        return run(type(self), task, current, args, kwargs)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found: list[checks.CheckMessage] = []
        if not apps.is_installed("hark.django"):
            found.append(checks.Error("hark.django is not in INSTALLED_APPS, and HarkBackend reads results with its models", id="hark.E001"))
        if unknown := sorted(set(self.options) - OPTIONS):
            found.append(checks.Error(f'TASKS["{self.alias}"]["OPTIONS"] has {", ".join(unknown)}, which HarkBackend does not know', id="hark.E002"))
        if (database := self.options.get("database")) is not None and database not in connections:
            found.append(checks.Error(f'TASKS["{self.alias}"] names the database {database!r}, which is not in DATABASES', id="hark.E003"))
        if too_long := sorted(queue for queue in self.queues if not 1 <= len(queue) <= 100):
            found.append(checks.Error(f'TASKS["{self.alias}"] names the queue {too_long[0]!r}: a queue has 1 to 100 characters', id="hark.E004"))
        return found


def one_value(args: list[Any], kwargs: dict[str, Any]) -> list[Any] | dict[str, Any]:
    """Arguments as Hark's table holds them: a list or an object, whose member "*" holds positional arguments besides the named ones."""
    if "*" in kwargs:
        raise InvalidArguments('a keyword argument cannot be named "*": Hark keeps positional arguments under it')
    if not kwargs:
        return args
    return {"*": args, **kwargs} if args else kwargs


def aware(moment: Any) -> Any:
    """With USE_TZ = False times are the project's own, and say no zone."""
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment
