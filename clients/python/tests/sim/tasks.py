"""Tasks of Django's Tasks API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django

import hark

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task(priority=10, queue_name="mail")
def mail(*recipients: str, subject: str = "") -> str:
    return f"{', '.join(recipients)}: {subject}"


@task(takes_context=True)
def patient(context: Any, n: int) -> list[Any]:
    return [context.attempt, context.task_result.id, n]


@task
async def later(n: int) -> int:
    return n + 1


@task(takes_context=True)
async def later_with_context(context: Any, n: int) -> list[int]:
    return [context.attempt, n]


class Busy(Exception):
    pass


@task
def fails(kind: str) -> None:
    raise {"busy": Busy("try later"), "retry": hark.Retry(5), "fail": hark.Fail("no use"), "snooze": hark.Snooze(5), "exit": SystemExit(3)}[kind]


def plain(n: int) -> int:
    return n


def _hidden(n: int) -> int:
    return n


renamed = task(_hidden)
