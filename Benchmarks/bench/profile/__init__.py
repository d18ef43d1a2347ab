"""Where a task's time goes: the benchmark `profile`."""

from bench.profile import server

PARTS = {"server": server}


def versions():
    return {}
