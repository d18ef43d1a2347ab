"""The list of tasks, newest first, on a table that may have ten million rows.

- What is shown is walked from the newest id downwards and stops when the page is full: an index has that order. Nothing can be sorted otherwise.
- Nothing is counted beyond MOST. "Older tasks" goes on from there.
- A state says which table to look into (hark.django.tables); the rare states have an index each.
- Function, queue, unique_key and whatever else one puts into the URL have no index in history: they are looked for among the newest WINDOW
  tasks, and "Older tasks" looks among those before.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from hark.django.models import FINISHED, UNFINISHED, Task
from hark.django.queries import TaskQuerySet

MOST = 1_000
WINDOW = 100_000

# What an index finds; of the admin's own parameters, those that filter nothing.
INDEXED = {"state", "id", "id__exact", "id__lt", "id__lte", "id__in", "p", "all", "e", "o", "_facets"}


class PaginatorThatStops(Paginator):  # type: ignore[type-arg]
    """Counts to MOST and no further."""

    @cached_property
    def ids(self) -> list[int]:
        tasks: Any = self.object_list
        return list(tasks.values_list("pk", flat=True)[:MOST])

    @property
    def count(self) -> int:
        return len(self.ids)


class TaskChangeList(ChangeList):
    older_url: str | None = None
    searched_from: int | None = None
    """The lowest id among which was searched; None: all."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        task_admin: Any = self.model_admin
        self.root_queryset = task_admin.of_state(request.GET.get("state"))
        queryset = super().get_queryset(request, *args, **kwargs)
        # Tasks that were ticked are found by their ids.
        if request.method == "POST" and request.POST.get("select_across", "0") == "0":
            return queryset
        if self.needs_window(request):
            newest = self.root_queryset.order_by("-id").values_list("id", flat=True)
            if before := lowest(request.GET.get("id__lt")):
                newest = newest.filter(id__lt=before)
            self.searched_from = next(iter(newest[WINDOW - 1 : WINDOW]), None)
            if self.searched_from is not None:
                queryset = queryset.filter(id__gte=self.searched_from)
        return queryset

    def needs_window(self, request: HttpRequest) -> bool:
        parameters = {name for name in request.GET if name not in INDEXED}
        if self.query == "" or self.query.isdecimal():
            parameters.discard("q")
        return bool(parameters)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Not sliced when the count was a page at most; more may have come since.
        if not self.multi_page:
            self.result_list = self.result_list[: self.list_per_page]
        if self.stopped:
            self.older_url = self.get_query_string({"id__lt": self.paginator.ids[-1]}, ["p"])
        elif self.searched_from is not None:
            self.older_url = self.get_query_string({"id__lt": self.searched_from}, ["p"])

    @property
    def stopped(self) -> bool:
        """Are there more than were counted?"""
        return self.result_count >= MOST


def lowest(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def in_state(state: str | None) -> TaskQuerySet:
    """The tasks of a state, or of "unfinished", from the table that has them; all tasks for any other word."""
    tasks: TaskQuerySet = Task.objects.all()
    if state == "unfinished":
        return tasks.unfinished()
    if state in UNFINISHED:
        return tasks.unfinished().filter(state=state)
    if state in FINISHED:
        return tasks.finished().filter(state=state)
    return tasks
