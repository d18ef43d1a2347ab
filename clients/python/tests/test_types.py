"""mypy --strict finds nothing, in the package and in how it is used."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]

USE = """import hark
from hark.django.models import Task

id: int | None = hark.enqueue("f", [1])
reveal_type(Task.objects.create(function="f").state)
hark.enqueue(1)
"""


def test_the_types_are_right(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None or importlib.util.find_spec("mypy_django_plugin") is None:
        pytest.skip("mypy and django-stubs are not installed here: clients/python/test installs them where they run")
    use = tmp_path / "use.py"
    use.write_text(USE)
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": f"{HERE / 'src'}:{HERE / 'tests'}", "MYPYPATH": f"{HERE / 'src'}:{HERE / 'tests'}"}
    package = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    assert package.returncode == 0, package.stdout + package.stderr
    used = subprocess.run([*command, "--no-error-summary", str(use)], cwd=HERE, env=environment, capture_output=True, text=True)
    assert [line.split("use.py:")[1] for line in used.stdout.splitlines()] == [
        '5: note: Revealed type is "str"',
        '6: error: Argument 1 to "enqueue" has incompatible type "int"; expected "str | Callable[..., Any]"  [arg-type]',
    ]
