from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest

from hark.django.admin import rendering
from hark.django.models import Worker


class WorkerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "state_", "listener", "queues_", "running_", "beat", "connected", "hostname", "pid_", "version")
    list_display_links = ("name",)
    ordering = ("id",)
    fields = ("name", "state", "listener", "queues_", "slots", "running", "hostname", "pid_", "version", "started", "beat")
    readonly_fields = ("queues_", "pid_", "started", "beat")

    class Media:
        css = {"all": ("hark/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        workers: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                is_connected=RawSQL('not hark.worker_lock_is_free("hark"."workers"."id")', [], BooleanField()),
                is_dead=RawSQL('hark.worker_is_dead("hark"."workers".*, false)', [], BooleanField()),
            )
        )
        return workers

    @admin.display(description="state")
    def state_(self, worker: Any) -> str:
        return rendering.state("dead", "its tasks are about to be rescued") if worker.is_dead else rendering.state(worker.state)

    @admin.display(description="queues")
    def queues_(self, worker: Worker) -> str:
        return ", ".join(worker.queues)

    @admin.display(description="running")
    def running_(self, worker: Worker) -> str:
        return f"{worker.running} of {worker.slots}"

    @admin.display(description="last beat")
    def beat(self, worker: Worker) -> str:
        return rendering.ago(worker.beat_at)

    @admin.display(description="started")
    def started(self, worker: Worker) -> str:
        return rendering.moment(worker.started_at)

    @admin.display(description="pid")
    def pid_(self, worker: Worker) -> str:
        return str(worker.pid or "")

    @admin.display(description="connected", boolean=True)
    def connected(self, worker: Any) -> bool:
        return bool(worker.is_connected)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
