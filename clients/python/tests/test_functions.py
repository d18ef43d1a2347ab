"""Which functions can be named, and what is said of the others."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sim import services

import hark
from hark.functions import find, name_of

HERE = Path(__file__).parent


@pytest.mark.parametrize("function", [services.interesting_calculation, services.wait_for_nothing, services.decorated, math.sqrt])
def test_a_function_is_named_by_its_module_and_found_again(function: Any) -> None:
    assert find(name_of(function)) is function


def test_a_name_without_a_dot_is_not_looked_up() -> None:
    assert find(name_of("resize_image")) is None


def test_an_instance_that_can_be_called_is_run_by_its_name() -> None:
    assert find("sim.services.instance") is services.instance


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, "a lambda has no name by which a worker could find it"),
        (services.nested(), "defined inside another function"),
        (services.Service().method, "sim.services.Service.method is a method"),
        (services.Service.method, "sim.services.Service.method is a method"),
        (services.Service, "not the class Service"),
        (services.instance, "not a Service"),
        (functools.partial(services.interesting_calculation, 3), "not a partial"),
        (services, "not the module sim.services"),
        (None, "not a NoneType"),
        (42, "not an int"),
        (services._private, "sim.services._private is private"),
        (services.first_replaced, "is another function than the one that was given"),
    ],
)
def test_what_no_worker_could_find_is_no_function(function: Any, message: str) -> None:
    with pytest.raises(hark.EnqueueError) as caught:
        hark.enqueue(function)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("sim.servces.f", hark.UnknownFunction, "there is no module sim.servces"),
        ("nowhere.at.all.f", hark.UnknownFunction, "there is no module nowhere"),
        ("sim.services.intresting_calculation", hark.UnknownFunction, "no function intresting_calculation; did you mean interesting_calculation?"),
        ("sim.services.xyz", hark.UnknownFunction, "sim.services has no function xyz"),
        ("sim.broken.f", hark.UnknownFunction, "cannot import sim.broken: RuntimeError: this module is broken"),
        ("sim.lacking.f", hark.UnknownFunction, "cannot import sim.lacking: ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("sim.services._private", hark.InvalidFunction, "names that begin with _ are not run"),
        ("sim._hidden.f", hark.InvalidFunction, "names that begin with _ are not run"),
        ("__main__.f", hark.InvalidFunction, "names that begin with _ are not run"),
        ("sim.services.system", hark.InvalidFunction, "sim.services.system belongs to another module: it is posix.system; use that name"),
        ("sim.services.Service", hark.InvalidFunction, "is no function: it is the class Service"),
        ("sim.services.number", hark.InvalidFunction, "is no function: it is an int"),
        ("sim.services", hark.InvalidFunction, "is no function: it is the module sim.services"),
        ("sim..f", hark.UnknownFunction, "'sim..f' is no name of a Python function"),
        ("sim.services.", hark.UnknownFunction, "is no name of a Python function"),
        (".f", hark.UnknownFunction, "is no name of a Python function"),
        ("sim/services.py", hark.UnknownFunction, "is no name of a Python function"),
        ("", hark.EnqueueError, "function must have 1 to 100 characters, and '' has 0"),
        ("sim." + "f" * 100, hark.EnqueueError, "has 104"),
        ("f\0", hark.EnqueueError, "NUL"),
    ],
)
def test_a_bad_name_is_refused_with_its_reason(name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        hark.enqueue(name)
    assert message in str(caught.value)


def test_a_function_of_another_code_base_is_not_looked_up(owner: Any) -> None:
    id = hark.enqueue("billing.invoices.send", [1], validate=False, connection=owner)
    assert owner.execute("select function from hark.tasks where id = %s", [id]).fetchone() == ("billing.invoices.send",)


def test_a_function_of_main_is_refused() -> None:
    program = "import hark\ndef f(): ...\nhark.enqueue(f)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 1
    assert "f is defined in __main__, which is another module in a worker" in done.stderr


def test_without_a_connection_and_without_django_it_says_what_to_give() -> None:
    program = "import hark\nhark.enqueue('f')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 1
    assert "TypeError: there is no connection: give connection=, one of psycopg 3" in done.stderr


def test_importing_hark_imports_neither_django_nor_psycopg() -> None:
    program = "import hark, sys\nassert not {'django', 'psycopg', 'asgiref'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})
