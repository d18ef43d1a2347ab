"""What may be said of a task besides its function and its arguments: each option as the column of `hark.tasks` that it sets.

The limits are the schema's CHECKs, asked here so that a mistake is known before the transaction is broken by it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from hark.errors import EnqueueError

YEAR = timedelta(days=366)


class Column(NamedTuple):
    name: str
    sql: str
    value: object


def columns(
    queue: str | None,
    priority: int | None,
    run_at: datetime | timedelta | None,
    max_attempts: int | None,
    timeout: float | timedelta | None,
    unique_key: str | None,
) -> list[Column]:
    """The columns that are to be set; the others keep the table's defaults. Raises EnqueueError."""
    found: list[Column] = []
    if queue is not None:
        found.append(Column("queue", "%s", text("queue", queue, 100)))
    if priority is not None:
        found.append(Column("priority", "%s", whole("priority", priority, -10, 10)))
    if run_at is not None:
        found.append(when(run_at))
    if max_attempts is not None:
        found.append(Column("max_attempts", "%s", whole("max_attempts", max_attempts, 1, 1000)))
    if timeout is not None:
        found.append(Column("timeout", "%s", duration(timeout)))
    if unique_key is not None:
        found.append(Column("unique_key", "%s", text("unique_key", unique_key, 500)))
    return found


def text(option: str, value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise EnqueueError(f"{option} must be text, not {value!r}")
    if not 1 <= len(value) <= longest:
        raise EnqueueError(f"{option} must have 1 to {longest} characters, and {value[:100]!r} has {len(value)}")
    if "\0" in value:
        raise EnqueueError(f"{option} must not have a NUL character: {value!r}")
    return value


def whole(option: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise EnqueueError(f"{option} must be a whole number between {least} and {most}, not {value!r}")
    return value


def when(value: object) -> Column:
    """A point in time; or a timedelta, which the server's clock counts from."""
    if isinstance(value, timedelta):
        return Column("run_at", "now() + %s", value)
    if not isinstance(value, datetime):
        raise EnqueueError(f"run_at must be a datetime, or a timedelta from now, not {value!r}")
    if value.utcoffset() is None:
        now = datetime.now(timezone.utc).isoformat(timespec="minutes")
        raise EnqueueError(
            f"run_at must say its time zone, as {now} does, and {value.isoformat()} does not: use .astimezone(), or a timedelta from now"
        )
    return Column("run_at", "%s", value)


def duration(value: object) -> timedelta:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            pass
    if not isinstance(value, timedelta) or not timedelta(0) < value <= YEAR:
        raise EnqueueError(f"timeout must be a number of seconds, or a timedelta, above zero and at most a year, not {value!r}")
    return value
