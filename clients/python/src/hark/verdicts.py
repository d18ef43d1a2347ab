"""What a function may raise to say more than "it went wrong".

Any other exception means: try again while attempts are left. The worker knows these by their attribute `__hark_verdict__`
alone, so a project may as well raise exceptions of its own that have it.
"""

from __future__ import annotations

from datetime import timedelta


class Verdict(Exception):
    """What is to become of the task that is running."""

    __hark_verdict__: tuple[object, ...]


class Retry(Verdict):
    """Try it again, if attempts are left: after so many seconds (or a timedelta), else after the ordinary pause."""

    def __init__(self, after: float | timedelta | None = None, reason: str = "") -> None:
        super().__init__(reason or "the function asked to be tried again")
        self.__hark_verdict__ = ("retry", None if after is None else seconds(after), str(self))


class Fail(Verdict):
    """No further attempt is of use: the task is failed."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the function said that no further attempt is of use")
        self.__hark_verdict__ = ("fail", str(self))


class Cancel(Verdict):
    """The task is not wanted any more: it is cancelled."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "cancelled by the function")
        self.__hark_verdict__ = ("cancel", str(self))


class Snooze(Verdict):
    """Run it again after so many seconds (or a timedelta). The attempt is given back: it does not count."""

    def __init__(self, after: float | timedelta) -> None:
        super().__init__(f"snoozed for {seconds(after):g} s")
        self.__hark_verdict__ = ("snooze", seconds(after))


def seconds(duration: float | timedelta) -> float:
    """A duration as the worker wants it. Raises ValueError where it makes none: the mistake is the function's own."""
    number = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if not 0 <= number < 1e9:
        raise ValueError(f"a task can be put off by 0 to 1e9 seconds, not by {duration!r}")
    return number
