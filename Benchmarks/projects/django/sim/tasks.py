"""Functions for the benchmarks: a project with Django."""

import os
import signal
import time

from django.db import connection

from sim import models  # noqa: F401 - as a function that works with models has them


def now():
    return time.time_ns()


def touch(seconds):
    """Uses the database, so that its connection is there, and says which interpreter it was."""
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    time.sleep(seconds)
    return os.getpid()


def crash(path):
    """Ends its interpreter as the kernel's killer does, and leaves the moment in a file."""
    with open(path, "w") as file:
        file.write(str(time.time_ns()))
    os.kill(os.getpid(), signal.SIGKILL)
