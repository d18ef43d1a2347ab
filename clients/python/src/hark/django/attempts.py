"""One attempt at a task of Django's Tasks API, inside a worker's interpreter: the context, the call, the signals.

`task_started` is sent before each attempt, `task_finished` after the one after which there is no other. The database is not asked: what the
API wants to know about earlier attempts is in the row, for whoever refreshes the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from traceback import format_exception
from typing import Any, TypeVar

from django.utils import timezone

from hark.arguments import check_fit
from hark.current import CurrentTask
from hark.django.tasks_api import TaskContext, TaskError, TaskResult, TaskResultStatus, task_finished, task_started
from hark.errors import InvalidArguments
from hark.verdicts import Fail

F = TypeVar("F", bound=Callable[..., Any])


def unseen(function: F) -> F:
    """Leaves a function of ours out of tracebacks: the worker drops the lines of this file name, which is its own."""
    function.__code__ = function.__code__.replace(co_filename="<hark>")
    return function


@unseen
def run(backend: type, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Calls the function and returns what it returns; for an async one a coroutine that does."""
    attempt = Attempt(backend, task, current, args, kwargs)
    return attempt.finish_later() if iscoroutinefunction(task.func) else attempt.finish()


class Attempt:
    def __init__(self, backend: type, task: Any, current: CurrentTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.backend, self.task, self.current, self.args, self.kwargs = backend, task, current, args, kwargs
        self.result = new_result(task, task.backend, list(args), dict(kwargs))
        now = timezone.now()
        # Who made the earlier attempts is not known here, but the API counts attempts by their workers.
        known = {"status": TaskResultStatus.RUNNING, "started_at": now, "last_attempted_at": now, "worker_ids": [""] * current.attempt}
        self.tell(id=str(current.id), **known)
        task_started.send(backend, task_result=self.result)

    @unseen
    def finish(self) -> Any:
        try:
            value = self.call()
        except BaseException as error:
            self.went_wrong(error)
            raise
        self.finished(TaskResultStatus.SUCCESSFUL, _return_value=value)
        return value

    @unseen
    async def finish_later(self) -> Any:
        try:
            value = await self.call()
        except BaseException as error:
            self.went_wrong(error)
            raise
        self.finished(TaskResultStatus.SUCCESSFUL, _return_value=value)
        return value

    @unseen
    def call(self) -> Any:
        context: tuple[Any, ...] = (TaskContext(task_result=self.result),) if self.task.takes_context else ()
        try:
            return self.task.func(*context, *self.args, **self.kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # of the call, and not from inside the function
                self.refuse_misfit()
            raise

    def refuse_misfit(self) -> None:
        """Raises Fail, as no further attempt is of use, when the arguments do not fit the function."""
        try:
            check_fit(self.task.module_path, self.task, {"*": list(self.args), **self.kwargs})
        except InvalidArguments as error:
            raise Fail(str(error)) from None

    def went_wrong(self, error: BaseException) -> None:
        if is_last(self.current, error):
            path = f"{type(error).__module__}.{type(error).__qualname__}"
            traceback = "".join(format_exception(type(error), error, error.__traceback__))
            self.result.errors.append(TaskError(exception_class_path=path, traceback=traceback))
            self.finished(TaskResultStatus.FAILED)

    def finished(self, status: TaskResultStatus, **values: Any) -> None:
        self.tell(finished_at=timezone.now(), status=status, **values)
        # Robust: what a receiver raises must not make the worker run a function again that has done its work. Django logs it.
        task_finished.send_robust(self.backend, task_result=self.result)

    def tell(self, **values: Any) -> None:
        """A result is frozen; the one who runs its task fills it in."""
        for name, value in values.items():
            object.__setattr__(self.result, name, value)


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


def is_last(current: CurrentTask, error: BaseException) -> bool:
    """Whether the worker will make no further attempt after this error."""
    verdict = getattr(error, "__hark_verdict__", None)
    kind = verdict[0] if isinstance(verdict, tuple) and verdict else None
    if kind is None and not isinstance(error, (Exception, SystemExit, KeyboardInterrupt)):
        return False  # the worker stops the function, and knows why
    return kind in ("fail", "cancel") or kind != "snooze" and current.attempt >= current.max_attempts
