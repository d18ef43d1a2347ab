"""Arguments: from Python to the JSON in `hark.tasks.args`, with an error that says which element is no JSON.

A list is `*args` of a Python function and an object is its `**kwargs`. The member "*" of an object, a list, holds positional arguments
besides the named ones.
"""

from __future__ import annotations

import inspect
import json
import math
from typing import Any

from hark.errors import InvalidArguments
from hark.functions import article, is_django_task, plain

LARGEST = 1024 * 1024
DEEPEST = 200

HINTS = {
    "datetime": "give text: .isoformat()",
    "date": "give text: .isoformat()",
    "time": "give text: .isoformat()",
    "timedelta": "give a number: .total_seconds()",
    "Decimal": "give text: str()",
    "UUID": "give text: str()",
    "set": "give a list: sorted()",
    "frozenset": "give a list: sorted()",
    "bytes": "give text: .decode(), or base64",
    "QuerySet": "give a list of ids",
}


def to_json(args: object) -> str:
    """The arguments as JSON text. None is no arguments. Raises InvalidArguments."""
    if args is None:
        return "[]"
    if not isinstance(args, (list, tuple, dict)):
        raise InvalidArguments(f"args must be a list or an object (a dict), not {article(args)}: {args!r:.80}. One argument is a list of one.")
    complain(args, "args", 0)
    text = json.dumps(args, ensure_ascii=False, allow_nan=False)
    size = len(text.encode())
    if size > LARGEST:
        raise InvalidArguments(f"args must take at most 1 MiB, and these take {size} bytes: store the data and pass its id")
    return text


def complain(value: Any, path: str, depth: int) -> None:
    """Raises InvalidArguments if JSON, or PostgreSQL's, cannot hold the value."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        text(value, path)
    elif isinstance(value, int):
        if value.bit_length() > 13_000:
            raise InvalidArguments(f"{path} is a number of about {value.bit_length() * 3 // 10} digits: give it as text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArguments(f"{path} is {value}, which JSON does not have: give None, or text")
    elif depth >= DEEPEST:
        raise InvalidArguments(f"args are nested more than {DEEPEST} deep, or contain themselves")
    elif isinstance(value, (list, tuple)):
        for index, element in enumerate(value):
            complain(element, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, element in value.items():
            if not isinstance(key, str):
                raise InvalidArguments(f"{path} has the key {key!r}, {article(key)}: keys of a JSON object are text")
            text(key, f"a key of {path}")
            complain(element, f"{path}[{key!r}]", depth + 1)
    else:
        hint = HINTS.get(type(value).__name__) or ("give its id: .pk" if hasattr(value, "_meta") else "give text, numbers, lists and objects")
        raise InvalidArguments(f"{path} is {article(value)}, which JSON does not have: {hint}")


def text(value: str, path: str) -> None:
    if "\0" in value:
        raise InvalidArguments(f"{path} has a NUL character, which PostgreSQL cannot store: {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArguments(f"{path} has half of a surrogate pair at {error.start}, which is no text: {value!r:.80}") from None


def check_fit(name: str, found: Any, args: Any) -> None:
    """Raises InvalidArguments if the function, or task of Django's Tasks API, cannot be called with these arguments."""
    try:
        # A decorator's wrapper is what is called, so its own signature counts.
        signature = inspect.signature(plain(found), follow_wrapped=False)
    except (TypeError, ValueError):  # some builtin functions have none
        return
    keywords = dict(args) if isinstance(args, dict) else {}
    positional = keywords.pop("*", []) if isinstance(args, dict) else args or []
    if not isinstance(positional, (list, tuple)):
        raise InvalidArguments(f'args["*"] holds positional arguments and must be a list, not {article(positional)}')
    if is_django_task(found) and found.takes_context:
        positional = [None, *positional]
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        raise InvalidArguments(f"arguments do not fit {name}{signature}: {error}") from None
