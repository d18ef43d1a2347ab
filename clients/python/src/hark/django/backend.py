"""The backend for Django's Tasks API: `TASKS = {"default": {"BACKEND": "hark.django.HarkBackend"}}`.

It enqueues, reads results, and, inside a worker's interpreter, runs: the worker finds the `@task` object under its function's name and calls
`run_hark_task`, which gives the function its context and sends the signals.

enqueue() is an INSERT in the transaction that is open, so a task of a transaction that is rolled back never was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import connections
from django.utils import timezone

from hark.connections import default_alias
from hark.current import CurrentTask
from hark.enqueueing import enqueue
from hark.errors import InvalidArguments, InvalidFunction
from hark.functions import find, is_django_task
from hark.django import priorities, results
from hark.django.tasks_api import (
    BaseTaskBackend,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)

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

    def run_hark_task(self, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Called by Hark's worker, in its interpreter, for each attempt. Returns what the function returns: a coroutine if it is async."""
        run = self.run_async if iscoroutinefunction(task.func) else self.run
        return run(task, current, args, kwargs)

    def run(self, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with self.attempt(task, current, args, kwargs) as (call, finish):
            value = call()
            finish(value)
        return value

    async def run_async(self, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with self.attempt(task, current, args, kwargs) as (call, finish):
            value = await call()
            finish(value)
        return value

    @contextmanager
    def attempt(
        self, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Iterator[tuple[Callable[[], Any], Callable[[Any], None]]]:
        """Sends the signals around a call of the function. task_finished is for an attempt after which there is no other."""
        now = timezone.now()
        result = new_result(task, self.alias, list(args), dict(kwargs))
        known = {"id": str(current.id), "status": TaskResultStatus.RUNNING, "started_at": now, "last_attempted_at": now}
        # Who made the earlier attempts is in the row, which is not read for this; how many there were is what counts.
        for name, value in {**known, "worker_ids": [""] * current.attempt}.items():
            object.__setattr__(result, name, value)
        context: tuple[Any, ...] = (TaskContext(task_result=result),) if task.takes_context else ()
        task_started.send(type(self), task_result=result)

        def call() -> Any:
            return task.func(*context, *args, **kwargs)

        def finish(value: Any) -> None:
            object.__setattr__(result, "_return_value", value)
            self.finished(result, TaskResultStatus.SUCCESSFUL)

        try:
            yield call, finish
        except BaseException as error:
            if is_last(current, error):
                result.errors.append(TaskError(exception_class_path=results.path_of(type(error)), traceback=results.traceback_of(error)))
                self.finished(result, TaskResultStatus.FAILED)
            raise

    def finished(self, result: Any, status: TaskResultStatus) -> None:
        object.__setattr__(result, "finished_at", timezone.now())
        object.__setattr__(result, "status", status)
        # Robust: what a receiver raises must not make the worker run a function again that has done its work. Django logs it.
        task_finished.send_robust(type(self), task_result=result)

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


def new_result(task: Any, alias: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A result that is READY and has no id yet. It makes the arguments JSON, and raises TypeError or ValueError if it cannot."""
    return TaskResult(
        task=task,
        id="",
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=alias,
        errors=[],
        worker_ids=[],
    )


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


def is_last(current: CurrentTask, error: BaseException) -> bool:
    """Whether the worker will make no further attempt after this error."""
    verdict = getattr(error, "__hark_verdict__", None)
    kind = verdict[0] if isinstance(verdict, tuple) and verdict else None
    if kind is None and not isinstance(error, (Exception, SystemExit, KeyboardInterrupt)):
        return False  # the worker stops the function, and knows why
    return kind in ("fail", "cancel") or kind != "snooze" and current.attempt >= current.max_attempts
