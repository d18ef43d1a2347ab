"""Functions that say more than "it went wrong", and that ask about their task."""

from __future__ import annotations

from typing import Any

import hark


def retry() -> None:
    raise hark.Retry(after=3600, reason="the server is busy")


def snooze() -> None:
    raise hark.Snooze(3600)


def fail() -> None:
    raise hark.Fail("no such customer")


def cancel() -> None:
    raise hark.Cancel("no longer wanted")


def who_am_i() -> list[Any]:
    task = hark.current_task()
    assert task is not None
    task.alive()
    task.extend(60)
    return [task.id, task.function, task.queue, task.attempt, task.max_attempts, task.timeout]
