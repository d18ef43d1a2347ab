"""What is built: the wheel has the schema, the types and the templates, whether it is built in a checkout or from a source distribution."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy, so that building leaves nothing in the repository."""
    if importlib.util.find_spec("wheel") is None or int(importlib.metadata.version("setuptools").split(".")[0]) < 70:
        pytest.skip("setuptools 70 and wheel are not installed here: clients/python/test installs them")
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    shutil.copytree(HERE, tmp_path / "clients" / "python", ignore=shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__"))
    return tmp_path / "clients" / "python"


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def build_wheel(source: Path, to: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(to),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = to.glob("hark_tasks-*.whl")
    return wheel


def test_the_wheel_has_all_that_it_needs(checkout: Path, tmp_path: Path) -> None:
    built = names(build_wheel(checkout, tmp_path / "one"))
    package = checkout / "src"
    sources = {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and not set(path.parts) & {"__pycache__", "hark_tasks.egg-info"}
    }
    migrations = {f"hark/migrations/{path.name}" for path in (ROOT / "migrations").glob("0*.sql")}
    assert {name for name in built if not name.startswith("hark_tasks-")} == sources | migrations
    assert "hark/py.typed" in built and len(migrations) >= 4


def test_a_source_distribution_makes_the_same_wheel(checkout: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "setup.py", "--quiet", "sdist"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = (checkout / "dist").glob("hark_tasks-*.tar.gz")
    shutil.move(sdist, tmp_path)
    shutil.rmtree(tmp_path / "migrations")
    from_sdist = names(build_wheel(tmp_path / sdist.name, tmp_path / "two"))
    assert {name for name in from_sdist if name.endswith(".sql")} == {f"hark/migrations/{path.name}" for path in (ROOT / "migrations").glob("0*.sql")}
