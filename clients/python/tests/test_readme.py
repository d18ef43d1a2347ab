"""The README, executed from its first block to its last, by somebody who starts a Django project and follows it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
import psycopg
import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks() -> list[tuple[str, str, str]]:
    """Heading, language and text of each block."""
    found, heading = [], ""
    for part in re.finditer(r"^## (.+?)$|^```(\w+)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL):
        if part[1]:
            heading = part[1]
        else:
            found.append((heading, part[2], part[3]))
    return found


def test_every_block_of_the_readme_works(cluster: Any, tmp_path: Path) -> None:
    try:
        importlib.metadata.version("hark-tasks")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("hark-tasks is not installed here: clients/python/test installs it")
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute("create database readme")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PGHOST": str(cluster.directory),
        "PGUSER": "postgres",
        "PGDATABASE": "readme",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error::RuntimeWarning",
    }

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr

    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        with (tmp_path / path).open("a") as file:
            file.write(f"\n\n{text}")

    run("django-admin", "startproject", "core", ".")
    write("sim/__init__.py", "")
    address = {"ENGINE": "django.db.backends.postgresql", "NAME": "readme", "HOST": str(cluster.directory), "USER": "postgres"}
    write("core/settings.py", f"DATABASES = {{'default': {address!r}}}")
    if django.VERSION < (6, 0):
        write("core/settings.py", "INSTALLED_APPS += ['django_tasks']")

    # The tables are there before the first task, as its section Install says.
    with psycopg.connect(cluster.url("readme")) as connection:
        from hark.schema import migrations

        for migration in migrations():
            connection.execute(migration.sql.encode())

    ran = 0
    for heading, language, text in blocks():
        if django.VERSION < (6, 0):
            text = re.sub(r"^from django.tasks import .*  # before Django 6.0: (.*)$", r"\1", text, flags=re.MULTILINE)
        if language == "sh":
            run("bash", "-euc", text)
        elif named := re.match(r"# (\w+/\w+\.py)\n", text):
            write(named[1], text)
        elif heading.startswith("Django"):
            run(sys.executable, "manage.py", "shell", "-c", text)
        else:
            run(sys.executable, "-c", text)
        ran += 1
    assert ran >= 12
    with psycopg.connect(cluster.url("readme")) as connection:
        functions = {row[0] for row in connection.execute("select distinct function from hark.tasks")}
    assert functions == {"sim.services.interesting_calculation", "sim.services.greet", "sim.tasks.welcome", "sim.tasks.patient"}
