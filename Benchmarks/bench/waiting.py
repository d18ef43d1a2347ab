"""Waiting for a condition, since much of what is waited for here sends no event."""

import time

from bench import processes


def wait_until(what, condition, check=lambda: None, patience=120, pause=0.02):
    """Returns what the condition returned. `check` raises when waiting is in vain."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        check()
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {patience} s in vain: {what}")
        time.sleep(pause)
    return value


def wait_until_settled(*pids):
    """Until these processes and their descendants have used no CPU for a tenth of a second."""
    last = processes.cpu(*pids)

    def is_settled():
        nonlocal last
        now = processes.cpu(*pids)
        last, before = now, last
        return now == before

    time.sleep(0.1)
    wait_until("the processes settle", is_settled, pause=0.1, patience=30)
