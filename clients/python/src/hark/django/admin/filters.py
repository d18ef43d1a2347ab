"""Filters with choices that are known without looking at the tasks."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from hark.django.models import State, Worker
from hark.django.settings import configured_queues


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unfinished", "not finished"), *((state.value, state.value) for state in State)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset  # TaskChangeList began with the tasks of the state


class QueueFilter(admin.SimpleListFilter):
    """The queues that live workers work, and those of the settings."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        queues = {queue for worker in Worker.objects.values_list("queues", flat=True) for queue in worker}
        queues |= configured_queues() | {"default"}
        if chosen := request.GET.get(self.parameter_name):
            queues.add(chosen)
        return [(queue, queue) for queue in sorted(queues)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(queue=self.value()) if self.value() else queryset
