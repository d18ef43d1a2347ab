"""`hark.tasks` and `hark.workers` as Django models. Hark makes the tables, not Django."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from hark.django.queries import PUBLIC, Change, TaskManager
from hark.django.tables import TASKS


class State(models.TextChoices):
    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (State.SCHEDULED, State.BLOCKED, State.READY, State.RUNNING)
FINISHED = (State.COMPLETED, State.FAILED, State.CANCELLED)


class Task(models.Model):
    """A task: run this function with these arguments.

    Creating one enqueues it, in the transaction that is open. The columns up to unique_key may be set, and of these None is the table's default;
    the others are Hark's, and read from the database when they are asked for.
    """

    id = models.BigAutoField(primary_key=True)
    function = models.CharField(max_length=100)
    args = models.JSONField(null=True)
    queue = models.CharField(max_length=100, null=True)
    priority = models.SmallIntegerField(null=True)
    run_at = models.DateTimeField(null=True)
    max_attempts = models.SmallIntegerField(null=True)
    timeout = models.DurationField(null=True)
    unique_key = models.CharField(max_length=500, null=True)

    state = models.CharField(max_length=9, choices=State.choices, editable=False)
    attempt = models.SmallIntegerField(editable=False)
    blocked_by = models.TextField(null=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    worker_id = models.IntegerField(null=True, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, editable=False)
    result = models.JSONField(null=True, editable=False)
    errors = models.JSONField(null=True, editable=False)

    objects: ClassVar[TaskManager] = TaskManager()

    class Meta:
        managed = False
        db_table = TASKS
        base_manager_name = "objects"
        get_latest_by = "id"
        default_permissions = ("view",)
        permissions = [("retry_task", "Can retry tasks"), ("cancel_task", "Can cancel tasks")]

    def __str__(self) -> str:
        return f"{self.pk} {self.function}"

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def duration(self) -> timedelta | None:
        """How long the last attempt took, or takes so far."""
        if self.started_at is None:
            return None
        end: datetime = self.finished_at or timezone.now()
        return max(end - self.started_at, timedelta(0))

    @property
    def error(self) -> dict[str, Any] | None:
        """What went wrong last: at, attempt, worker, kind, message, detail."""
        return self.errors[-1] if self.errors else None

    def retry(self) -> Change:
        """Runs the task (again) now."""
        return self._the_only(type(self).objects.using(self._state.db).filter(pk=self.pk).retry())

    def cancel(self) -> Change:
        """Cancels the task; if it runs, this is a request, which its worker is told of."""
        return self._the_only(type(self).objects.using(self._state.db).filter(pk=self.pk).cancel())

    # Not to be called by a template that prints a task.
    retry.alters_data = True  # type: ignore[attr-defined]
    cancel.alters_data = True  # type: ignore[attr-defined]

    def _the_only(self, changes: list[Change]) -> Change:
        self.forget(also=PUBLIC)
        return changes[0] if changes else Change(self.pk, "skipped", "not found")

    def forget(self, also: tuple[str, ...] = ()) -> None:
        """Drops what the database knows better, to be read when it is asked for: all but the columns that were set."""
        for field in self._meta.concrete_fields:
            name = field.attname
            known = field.primary_key or (name in PUBLIC and name not in also and self.__dict__.get(name) is not None)
            if not known:
                self.__dict__.pop(name, None)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Inserts the task. One that is there is changed by retry(), cancel() and Task.objects.filter(...).update(...): its worker writes to
        the row too, and a whole row that is written back would undo that."""
        if not self._state.adding and not kwargs.get("update_fields"):
            raise TypeError(
                "a task that is in the table is changed by .retry(), .cancel(), Task.objects.filter(...).update(...) or save(update_fields=[...])"
            )
        super().save(*args, **kwargs)


class TextArray(models.Field):  # type: ignore[type-arg]
    """A text[] to be read. (ArrayField would ask for django.contrib.postgres in INSTALLED_APPS.)"""

    def db_type(self, connection: Any) -> str:
        return "text[]"


class Worker(models.Model):
    """A worker that lives, or whose tasks are about to be rescued."""

    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    state = models.TextField()
    listener = models.TextField(null=True)
    queues = TextArray()
    slots = models.IntegerField()
    running = models.IntegerField()
    hostname = models.TextField(null=True)
    pid = models.IntegerField(null=True)
    version = models.TextField(null=True)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"hark"."workers"'
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
