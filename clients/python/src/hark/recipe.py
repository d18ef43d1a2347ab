"""The helper of the recipe "a table and a loop", for code that calls it: `add_task(module_path, function_name, function_args)`.

`hark.django.models.Task.objects` has it, so `Task.objects.add_task(...)` goes on working when `Task` is Hark's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hark.arguments import check_fit, to_json
from hark.errors import InvalidArguments
from hark.functions import article, find, name_of


class AddTask:
    """Mixed into a manager that has `create`."""

    def add_task(self, module_path: str, function_name: str, function_args: Sequence[Any] | None = None) -> Any:
        """Creates the task module_path.function_name(*function_args).

        Raises UnknownFunction when there is no such module or function, InvalidArguments when the arguments are no list of JSON values.
        """
        if function_args is not None and not isinstance(function_args, (list, tuple)):
            raise InvalidArguments(f"function_args must be a list, not {article(function_args)}: {function_args!r:.80}")
        name = name_of(f"{module_path}.{function_name}")
        to_json(function_args)
        check_fit(name, find(name), function_args)
        return self.create(function=name, args=list(function_args or []))  # type: ignore[attr-defined]
