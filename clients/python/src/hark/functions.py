"""Names of functions, and the functions of names.

The rules are the worker's: what it would refuse is refused here, before there is a task. Whether a worker has the function, and
whether its module is among the modules that it may import, only the worker knows.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from hark.errors import EnqueueError, InvalidFunction, UnknownFunction

Function = str | Callable[..., Any]
LONGEST = 100


def name_of(function: object) -> str:
    """The name under which a worker finds a function: the name that was given, or "module.function" of a function.

    Raises InvalidFunction for what has no such name: a lambda, a nested function, a method, a partial, an instance.
    """
    if isinstance(function, str):
        return checked_name(function)
    function = plain(function)
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if inspect.isclass(function) or not callable(function) or not isinstance(module, str) or not isinstance(name, str):
        raise InvalidFunction(f"a task runs a function or the name of one, not {describe(function)}")
    if "<lambda>" in name:
        raise InvalidFunction(f"a lambda has no name by which a worker could find it: define a function in {module}")
    if "<locals>" in name:
        raise InvalidFunction(f"{module}.{name} is defined inside another function, where no worker finds it: move it to the top of its module")
    if "." in name or inspect.ismethod(function):
        raise InvalidFunction(f"{module}.{name} is a method: a task runs functions of a module")
    if module == "__main__":
        raise InvalidFunction(f"{name} is defined in __main__, which is another module in a worker: move it to a module that both can import")
    return checked_name(f"{module}.{name}")


def checked_name(name: str) -> str:
    """The name itself, if the table takes it."""
    if not 1 <= len(name) <= LONGEST:
        raise EnqueueError(f"function must have 1 to {LONGEST} characters, and {name[:LONGEST]!r} has {len(name)}")
    if "\0" in name:
        raise EnqueueError(f"function must not have a NUL character: {name!r}")
    return name


def find(name: str) -> Any:
    """The function, or task of Django's Tasks API, of a dotted name; None for a name without a dot: an executable's or a Swift function's.

    Imports its module. Raises UnknownFunction when the module or the function is missing, InvalidFunction when a worker would not run it.
    """
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        return None
    if not all(re.fullmatch(r"[^\W\d]\w*", part) for part in name.split(".")):
        raise UnknownFunction(f"{name!r} is no name of a Python function, such as sim.services.interesting_calculation")
    if any(part.startswith("_") for part in name.split(".")):
        raise InvalidFunction(f"{name} is private: names that begin with _ are not run")
    module = imported(module_name)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise UnknownFunction(f"{module_name} has no function {attribute}{nearest(attribute, module)}") from None
    function = plain(found)
    if inspect.isclass(function) or not callable(function):
        raise InvalidFunction(f"{name} is no function: it is {describe(function)}")
    owner = getattr(function, "__module__", None)
    if owner != module_name and attribute not in getattr(module, "__all__", ()):
        raise InvalidFunction(f"{name} belongs to another module: it is {owner}.{getattr(function, '__qualname__', attribute)}; use that name")
    return found


def plain(function: object) -> Any:
    """The function in a task of Django's Tasks API; else what was given."""
    return function.func if is_django_task(function) else function  # type: ignore[attr-defined]


def is_django_task(function: object) -> bool:
    return not inspect.isclass(function) and hasattr(function, "func") and hasattr(function, "get_backend")


def imported(module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Of the module itself or of a package that it is in; else it is there, and imports something that is not.
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UnknownFunction(f"there is no module {error.name}") from None
        raise UnknownFunction(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
    except Exception as error:
        raise UnknownFunction(f"cannot import {module_name}: {type(error).__name__}: {error}") from error


def nearest(attribute: str, module: ModuleType) -> str:
    import difflib

    own = [name for name, value in vars(module).items() if inspect.isfunction(plain(value)) and not name.startswith("_")]
    found = difflib.get_close_matches(attribute, own, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def describe(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__qualname__}"
    if inspect.ismodule(value):
        return f"the module {value.__name__}"
    return article(value)


def article(value: object) -> str:
    """A value's type in a sentence: "an int"."""
    name = type(value).__qualname__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
