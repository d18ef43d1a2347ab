"""The task that is running, for the function that it runs."""

from __future__ import annotations

import sys
from typing import Protocol, cast


class CurrentTask(Protocol):
    """The task that a worker is running here. What it is made of is the worker's; this describes it."""

    id: int
    token: int
    """The number of this claim: with the id it is unique to this attempt."""
    function: str
    queue: str
    attempt: int
    """1 for the first."""
    max_attempts: int
    timeout: float | None
    """In seconds."""

    def alive(self) -> None:
        """Says that the function lives: its timeout starts anew."""

    def extend(self, seconds: float) -> None:
        """The timeout shall not come before so many seconds from now."""


def current_task() -> CurrentTask | None:
    """The task that this code runs for; None when no worker runs it, as in a test or a shell."""
    worker = sys.modules.get("_hark")
    return None if worker is None else cast("CurrentTask | None", worker.current())
