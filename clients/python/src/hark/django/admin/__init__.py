"""The admin pages of tasks and workers: to look, to search, to retry and to cancel. No page reads or counts the whole table."""

from django.contrib import admin

from hark.django.admin.tasks import TaskAdmin
from hark.django.admin.workers import WorkerAdmin
from hark.django.models import Task, Worker

__all__ = ["TaskAdmin", "WorkerAdmin"]

admin.site.register(Task, TaskAdmin)
admin.site.register(Worker, WorkerAdmin)
