"""What a function says, as the worker reads it: by an attribute, without importing this package."""

from __future__ import annotations

import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import hark


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (hark.Retry(), ("retry", None, "the function asked to be tried again")),
        (hark.Retry(90, "busy"), ("retry", 90.0, "busy")),
        (hark.Retry(after=timedelta(minutes=2), reason="busy"), ("retry", 120.0, "busy")),
        (hark.Fail("no such customer"), ("fail", "no such customer")),
        (hark.Cancel("not wanted"), ("cancel", "not wanted")),
        (hark.Snooze(60), ("snooze", 60.0)),
    ],
)
def test_a_verdict_is_a_tuple_on_an_exception(verdict: Any, expected: tuple[Any, ...]) -> None:
    assert isinstance(verdict, Exception)
    assert verdict.__hark_verdict__ == expected
    assert str(verdict)


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_duration_that_is_none_is_the_functions_own_mistake(duration: Any) -> None:
    with pytest.raises(ValueError, match="a task can be put off by 0 to 1e9 seconds"):
        raise hark.Snooze(duration)


def test_there_is_no_current_task_where_no_worker_runs_it() -> None:
    assert "_hark" not in sys.modules
    assert hark.current_task() is None


def test_the_current_task_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    task = SimpleNamespace(id=42, attempt=1)
    monkeypatch.setitem(sys.modules, "_hark", SimpleNamespace(current=lambda: task))  # type: ignore[arg-type]
    assert hark.current_task() is task
