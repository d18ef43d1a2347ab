"""Priorities of Django's Tasks API (-100 to 100, higher first) as Hark's (-10 to 10, lower first), in steps.

Hark has 21 levels, because its workers walk each level's line by itself. People give small numbers (1, 2, 5) or round ones (10, 50, 100), so
these are the steps: they stay apart exactly. What lies between two steps counts as the one that is nearer to zero. The order of two priorities
is never reversed, and above, at and below zero stay apart.
"""

from __future__ import annotations

from bisect import bisect_right

STEPS = (1, 2, 3, 5, 10, 20, 30, 50, 75, 100)


def to_hark(priority: int) -> int:
    level = bisect_right(STEPS, abs(priority))
    return -level if priority > 0 else level


def to_django(level: int) -> int:
    """The step that a level stands for."""
    step = STEPS[abs(level) - 1] if level else 0
    return step if level < 0 else -step
