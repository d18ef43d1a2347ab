from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import django
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import F, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from hark.django.admin import rendering
from hark.django.admin.changelist import MOST, PaginatorThatStops, TaskChangeList, in_state
from hark.django.admin.filters import QueueFilter, StateFilter
from hark.django.models import Task, Worker
from hark.django.queries import Change

# Arguments and results may have a megabyte each: a list gets their beginnings, cut by the server.
BEGINNING = 120


class TaskAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("number", "state_", "function_", "queue_", "args_", "created", "took", "attempts")
    list_display_links = ("number",)
    list_filter = (StateFilter, QueueFilter)
    list_per_page = 100
    list_max_show_all = 100
    search_fields = ("id",)
    search_help_text = "An id, or the whole of a function's name or of a unique_key."
    ordering = ("-id",)
    sortable_by = ()
    paginator = PaginatorThatStops
    show_full_result_count = False
    if django.VERSION >= (5, 0):
        show_facets = admin.ShowFacets.NEVER  # they count everything
    actions = ("retry", "cancel")
    change_form_template = "admin/hark/task/detail.html"
    fieldsets = (
        (None, {"fields": ("state_", "function", "arguments", "returned", "went_wrong")}),
        ("When", {"fields": ("created_", "due", "started", "ended", "took")}),
        ("How", {"fields": ("queue", "priority", "attempts", "timeout", "unique_key", "worker")}),
    )
    readonly_fields = ("state_", "arguments", "returned", "went_wrong", "created_", "due", "started", "ended", "took", "attempts", "worker")

    class Media:
        css = {"all": ("hark/admin.css",)}

    # What is listed

    def of_state(self, state: str | None) -> QuerySet[Any]:
        """The tasks of a state, with what a row of the list shows and no more."""
        beginning = Left(Cast(F("args"), TextField()), BEGINNING + 1)
        message = Left(KeyTextTransform("message", KeyTransform("-1", F("errors"))), 300)
        tasks: QuerySet[Any] = in_state(state).defer("args", "result", "errors").annotate(args_beginning=beginning, last_message=message)
        return tasks

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TaskChangeList]:
        return TaskChangeList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        if search_term.isdecimal():
            # Too long a number is no id, and PostgreSQL would refuse it.
            return queryset.filter(id=int(search_term)) if len(search_term) <= 18 else queryset.none(), False
        return queryset.filter(Q(function=search_term) | Q(unique_key=search_term)), False

    # The columns. They are methods, so that none can be sorted by.

    @admin.display(description="id")
    def number(self, task: Task) -> str:
        return str(task.id)  # as text, or the locale would put commas into it

    @admin.display(description="state")
    def state_(self, task: Task) -> str:
        why = {
            "scheduled": f"not before {rendering.exact(task.run_at)}" if task.run_at else None,
            "blocked": "no worker of its queue has the function",
        }.get(str(task.state), getattr(task, "last_message", None))
        shown = rendering.state(str(task.state), why)
        return format_html("{} (asked to stop)", shown) if task.state == "running" and task.cancel_requested_at else shown

    @admin.display(description="function")
    def function_(self, task: Task) -> str:
        return format_html('<a class="hark-function" href="?q={}">{}</a>', task.function, rendering.breakable(task.function))

    @admin.display(description="queue")
    def queue_(self, task: Task) -> str:
        return str(task.queue)

    @admin.display(description="arguments")
    def args_(self, task: Any) -> str:
        beginning = task.args_beginning
        return format_html("<code>{}</code>", beginning if len(beginning) <= BEGINNING else beginning[:BEGINNING] + "…")

    @admin.display(description="created")
    def created(self, task: Task) -> str:
        return rendering.ago(task.created_at)

    @admin.display(description="duration")
    def took(self, task: Task) -> str:
        return rendering.duration(task.duration)

    @admin.display(description="attempt")
    def attempts(self, task: Task) -> str:
        return f"{task.attempt}/{task.max_attempts}" if task.max_attempts else str(task.attempt)

    # The page of one task

    @admin.display(description="arguments")
    def arguments(self, task: Task) -> str:
        return rendering.pretty_json(task.args)

    @admin.display(description="result")
    def returned(self, task: Task) -> str:
        return rendering.pretty_json(task.result) if task.state == "completed" else rendering.NOTHING

    @admin.display(description="errors")
    def went_wrong(self, task: Task) -> str:
        return rendering.errors(task.errors)

    @admin.display(description="created")
    def created_(self, task: Task) -> str:
        return rendering.moment(task.created_at)

    @admin.display(description="run at")
    def due(self, task: Task) -> str:
        return rendering.moment(task.run_at)

    @admin.display(description="started")
    def started(self, task: Task) -> str:
        return rendering.moment(task.started_at)

    @admin.display(description="finished")
    def ended(self, task: Task) -> str:
        return rendering.moment(task.finished_at)

    @admin.display(description="worker")
    def worker(self, task: Task) -> str:
        if task.worker_id is None:
            return "–"
        return Worker.objects.filter(pk=task.worker_id).values_list("name", flat=True).first() or f"worker {task.worker_id}, which is gone"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may = {"may_retry": self.has_retry_permission(request), "may_cancel": self.has_cancel_permission(request)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **may})

    # Who may do what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("hark.retry_task"))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("hark.cancel_task"))

    # Actions

    @admin.action(description="Retry: run again now", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.change(request, queryset, lambda tasks: tasks.retry())

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.change(request, queryset, lambda tasks: tasks.cancel())

    def change(self, request: HttpRequest, queryset: QuerySet[Any], what: Callable[[Any], list[Change]]) -> HttpResponse | None:
        if request.POST.get("select_across", "0") == "1":
            ids = list(queryset.values_list("pk", flat=True)[:MOST])
        else:
            # Those that were ticked, though they may have left the list's state since: the answer then says so.
            ids = [int(number) for number in request.POST.getlist(ACTION_CHECKBOX_NAME) if number.isdecimal()]
        self.tell(request, what(Task.objects.filter(pk__in=ids)), ids)
        return HttpResponseRedirect(reverse("admin:hark_task_change", args=ids)) if "_detail" in request.POST and len(ids) == 1 else None

    def tell(self, request: HttpRequest, changes: list[Change], ids: list[int]) -> None:
        """Says what became of each task, those of one fate in one sentence."""
        fates: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for change in changes:
            fates[change.result, change.note].append(change.id)
        if gone := sorted(set(ids) - {change.id for change in changes}):
            fates["skipped", "not found"] = gone
        sentences = {
            "ready": "{} will run now",
            "cancelled": "{} cancelled",
            "requested": "{} asked to stop: still running, until the worker has written the outcome",
            "skipped": "{} left alone",
        }
        for (result, note), numbers in fates.items():
            named = ", ".join(map(str, numbers[:20])) + (f" and {len(numbers) - 20} more" if len(numbers) > 20 else "")
            sentence = sentences[result].format(f"{'Task' if len(numbers) == 1 else 'Tasks'} {named}")
            level = messages.WARNING if result == "skipped" else messages.SUCCESS
            self.message_user(request, f"{sentence}{f': {note}' if note else ''}.", level)
