"""Hark, a task queue that lives in PostgreSQL: what a Python program says to it.

A task is a row of the table `hark.tasks`. `enqueue` inserts one, on your connection and in your transaction:

    hark.enqueue("sim.services.interesting_calculation", [3, 14])

The rest is for the functions that a worker runs: `current_task`, and the exceptions `Retry`, `Fail`, `Cancel` and `Snooze`.
For Django there are models, admin pages, checks and a backend for its Tasks API in `hark.django`.
"""

from hark.current import CurrentTask, current_task
from hark.enqueueing import aenqueue, aenqueue_many, enqueue, enqueue_many
from hark.errors import EnqueueError, InvalidArguments, InvalidFunction, UnknownFunction
from hark.failures import Crashed, Failed, Lost
from hark.verdicts import Cancel, Fail, Retry, Snooze

__version__ = "0.1.0"

__all__ = [
    "Cancel",
    "Crashed",
    "CurrentTask",
    "EnqueueError",
    "Fail",
    "Failed",
    "InvalidArguments",
    "InvalidFunction",
    "Lost",
    "Retry",
    "Snooze",
    "UnknownFunction",
    "aenqueue",
    "aenqueue_many",
    "current_task",
    "enqueue",
    "enqueue_many",
]
