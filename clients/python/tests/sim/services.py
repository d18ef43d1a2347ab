from __future__ import annotations

import functools
from collections.abc import Callable
from os import system  # noqa: F401  # not this module's own
from typing import Any


def interesting_calculation(a: int, b: int) -> int:
    return a**b


def create_another_model(name: str, value: int) -> str:
    return f"{name}: {value}"


def send(*recipients: str, subject: str = "") -> list[str]:
    return [f"{recipient}: {subject}" for recipient in recipients]


async def wait_for_nothing() -> str:
    return "done"


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


def given_a_connection(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that calls with another signature than its function's."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function("connection", *args, **kwargs)

    return wrapper


@given_a_connection
def decorated(connection: str, n: int) -> str:
    return f"{connection} {n}"


def replaced() -> None: ...


first_replaced = replaced


def replaced() -> None: ...  # type: ignore[no-redef]


class Service:
    def method(self) -> None: ...

    def __call__(self) -> None: ...


instance = Service()
first = lambda: None  # noqa: E731
number = 7


def _private() -> None: ...


def wait_for_long() -> None:
    import time

    time.sleep(60)
