"""Which arguments are JSON, and fit."""

from __future__ import annotations

import enum
import json
import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sim import services

import hark
from hark.arguments import to_json

DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "args", [[], {}, [None, True, 1, 1.5, "a", [], {}], {"a": {"b": [1]}}, [10**3000], [-(10**30)], [1e300], {"ü": "漢"}, [Colour.RED]]
)
def test_json_stays_what_it_is(owner: Any, args: Any) -> None:
    id = hark.enqueue("f", args, connection=owner)
    assert owner.execute("select args::text from hark.tasks where id = %s", [id]).fetchone() is not None
    assert json.loads(to_json(args)) == json.loads(json.dumps(args))


def test_a_tuple_is_a_list_and_none_is_no_arguments() -> None:
    assert to_json((1, (2, 3))) == "[1, [2, 3]]"
    assert to_json(None) == "[]"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("abc", "args must be a list or an object (a dict), not a str: 'abc'"),
        (3, "args must be a list or an object (a dict), not an int: 3. One argument is a list of one."),
        ({1, 2}, "not a set"),
        ((n for n in range(3)), "not a generator"),
        ([1, datetime(2026, 1, 1)], "args[1] is a datetime, which JSON does not have: give text: .isoformat()"),
        ([date(2026, 1, 1)], "args[0] is a date"),
        ([timedelta(1)], "args[0] is a timedelta, which JSON does not have: give a number: .total_seconds()"),
        ({"price": Decimal("1.5")}, "args['price'] is a Decimal, which JSON does not have: give text: str()"),
        ({"a": [0, {"id": uuid.uuid4()}]}, "args['a'][1]['id'] is an UUID"),
        ([{1, 2}], "args[0] is a set, which JSON does not have: give a list: sorted()"),
        ([b"x"], "args[0] is a bytes"),
        ([float("nan")], "args[0] is nan, which JSON does not have"),
        ([float("-inf")], "args[0] is -inf"),
        ({1: "a"}, "args has the key 1, an int: keys of a JSON object are text"),
        ([{None: 1}], "args[0] has the key None"),
        (["a\0b"], "args[0] has a NUL character"),
        ({"a\0": 1}, "a key of args has a NUL character"),
        (["a\ud800b"], "args[0] has half of a surrogate pair at 1"),
        ([10**5000], "args[0] is a number of about"),
        (DEEP, "nested more than 200 deep, or contain themselves"),
        (CIRCULAR, "nested more than 200 deep, or contain themselves"),
        ([object()], "args[0] is an object, which JSON does not have"),
        (["x" * 1_048_576], "args must take at most 1 MiB, and these take 1048580 bytes"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(args: Any, message: str) -> None:
    with pytest.raises(hark.InvalidArguments) as caught:
        hark.enqueue("f", args)
    assert message in str(caught.value)


def test_a_mebibyte_is_not_too_much(owner: Any) -> None:
    assert hark.enqueue("f", ["x" * (1_048_576 - 4)], connection=owner)


@pytest.mark.parametrize("args", [[3, 14], (3, 14), {"a": 3, "b": 14}, {"*": [3], "b": 14}, {"*": [3, 14]}])
def test_arguments_that_fit(owner: Any, args: Any) -> None:
    assert hark.enqueue(services.interesting_calculation, args, connection=owner)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([3], "missing a required argument: 'b'"),
        ([1, 2, 3], "too many positional arguments"),
        ({"a": 1, "c": 2}, "arguments do not fit sim.services.interesting_calculation(a: "),
        ({"*": [1, 2], "b": 3}, "multiple values for argument 'b'"),
        ({"*": 3}, 'args["*"] holds positional arguments and must be a list, not an int'),
    ],
)
def test_arguments_that_do_not_fit_are_said_so(args: Any, message: str) -> None:
    with pytest.raises(hark.InvalidArguments) as caught:
        hark.enqueue(services.interesting_calculation, args)
    assert message in str(caught.value)


def test_a_decorator_that_adds_an_argument_is_believed(owner: Any) -> None:
    assert hark.enqueue(services.decorated, [7], connection=owner)
