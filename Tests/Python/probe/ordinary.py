"""Functions that behave: what PythonRunnerTests call."""

import asyncio
import datetime
import decimal
import os
import sys
import uuid
from os import getcwd  # noqa: F401  imported, and so nobody's function to call

__all__ = ["add", "greet", "everything", "listed"]

calls = 0


def add(a, b):
    return a + b


def greet(name, *, loud=False):
    return name.upper() if loud else name


def echo(*args, **kwargs):
    return {"args": args, "kwargs": kwargs}


def nothing():
    pass


async def later(value):
    await asyncio.sleep(0.01)
    return value


def everything():
    class Thing:
        def __str__(self):
            return "a thing"

    return {
        "when": datetime.datetime(2026, 11, 25, 12, 30, tzinfo=datetime.timezone.utc),
        "day": datetime.date(2026, 11, 25),
        "price": decimal.Decimal("3.50"),
        "id": uuid.UUID("12345678-1234-5678-1234-567812345678"),
        "thing": Thing(),
        "set": {1},
        (1, 2): "key",
        "nan": float("nan"),
        "nul": "a\0b",
        "half": "\ud800",
    }


def circular():
    knot = []
    knot.append(knot)
    return knot


def listed():
    return "in __all__"


def counted():
    """How often this interpreter has run it."""
    global calls
    calls += 1
    return calls


def pid():
    return os.getpid()


def talk():
    print("one")
    print("two", file=sys.stderr)
    os.write(1, b"three\n")
    print("and no end", end="")


def bytes_of(size):
    return "x" * size


def environment(name):
    return os.environ.get(name)


def where():
    return os.getcwd()


def _private():
    return "secret"


class Klass:
    pass


not_callable = 42
