"""Puts the schema into what is built: the files of the repository's migrations/ travel in the package, and are kept in git once.

Everything else is in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PLACE = Path("hark") / "migrations"


def migrations() -> list[Path]:
    # In a checkout the repository's; in an unpacked source distribution the copy that was put into it.
    for folder in (HERE.parents[1] / "migrations", HERE / "src" / PLACE):
        files = sorted(folder.glob("0*.sql"))
        if files:
            return files
    raise SystemExit("there are no migrations: build hark-tasks in a checkout of its repository, or from its source distribution")


class BuildWithMigrations(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            copy(self, Path(self.build_lib))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        copies = [] if self.editable_mode else [str(Path(self.build_lib) / PLACE / file.name) for file in migrations()]
        return [*super().get_outputs(include_bytecode), *copies]


class SourcesWithMigrations(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        copy(self, Path(base_dir) / "src")


def copy(command: build_py | sdist, to: Path) -> None:
    command.mkpath(str(to / PLACE))
    for file in migrations():
        command.copy_file(str(file), str(to / PLACE / file.name))


setup(cmdclass={"build_py": BuildWithMigrations, "sdist": SourcesWithMigrations})
