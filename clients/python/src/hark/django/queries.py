"""What can be asked of tasks, and done to them: `Task.objects`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connections, models

from hark.django.tables import FinishedQuery, UnfinishedQuery
from hark.functions import name_of
from hark.recipe import AddTask

if TYPE_CHECKING:
    from hark.django.models import Task

# What an enqueuer may insert. It must not name another column, not even with its default.
PUBLIC = ("function", "args", "queue", "priority", "run_at", "max_attempts", "timeout", "unique_key")
AT_ONCE = 1000


class Change(NamedTuple):
    """What became of a task: result is "ready", "cancelled", "requested" (it runs, and its worker has been told) or "skipped"; note says why."""

    id: int
    result: str
    note: str | None


class TaskQuerySet(models.QuerySet["Task"]):
    def unfinished(self) -> TaskQuerySet:
        """Those that wait or run. History is not touched, however long it is."""
        return self._of(UnfinishedQuery).filter(finished_at__isnull=True)

    def finished(self) -> TaskQuerySet:
        """Those that are completed, failed or cancelled."""
        return self._of(FinishedQuery)

    def retry(self) -> list[Change]:
        """Runs these tasks (again) now: finished ones from attempt 0, waiting ones before their time. Never waits for a lock."""
        return self._change("select id, result, note from hark.retry(%s::bigint[])")

    def cancel(self) -> list[Change]:
        """Cancels these tasks. Of a running one it is a request, which its worker is told of. Never waits for a lock."""
        return self._change("select id, result, note from hark.cancel(%s::bigint[])")

    # Not to be called by a template that prints tasks.
    retry.alters_data = True  # type: ignore[attr-defined]
    cancel.alters_data = True  # type: ignore[attr-defined]

    def _change(self, sql: str) -> list[Change]:
        self._for_write = True
        ids = list(self.using(self.db).values_list("pk", flat=True))
        changes: list[Change] = []
        with connections[self.db].cursor() as cursor:
            for start in range(0, len(ids), AT_ONCE):
                cursor.execute(sql, [ids[start : start + AT_ONCE]])
                changes += [Change(*row) for row in cursor.fetchall()]
        return changes

    def _of(self, query: type[models.sql.Query]) -> TaskQuerySet:
        if self.query.where or self.query.is_sliced or self.query.annotations or self.query.order_by:
            raise TypeError("unfinished() and finished() come first: Task.objects.finished().filter(...)")
        found = self.all()
        found.query = query(self.model)
        return found

    def _insert(self, objs: Iterable[Any], fields: Iterable[Any], returning_fields: Any = None, **options: Any) -> Any:
        """Names the columns that are public and set, and asks for no more than the id: the rest is not the enqueuer's to write or read.

        The way of create(), save() and bulk_create() alike.
        """
        objs = list(objs)
        for task in objs:
            task.function = name_of(task.function)
        fields = [f for f in fields if f.name in PUBLIC and any(getattr(task, f.attname) is not None for task in objs)]
        returning = None if returning_fields is None else [f for f in returning_fields if f.name == "id"]
        returned = super()._insert(objs, fields, returning_fields=returning, **options)  # type: ignore[misc]
        for task in objs:
            task.forget()
        return returned

    _insert.queryset_only = False  # type: ignore[attr-defined]


ManagerOfTasks = models.Manager.from_queryset(TaskQuerySet)


class TaskManager(AddTask, ManagerOfTasks["Task"]):
    """`Task.objects`: a TaskQuerySet's methods, and the recipe's add_task."""
