"""The C programs of `Benchmarks/floor`: compiled when they are wanted, and the database that they work on."""

import contextlib
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent.parent / "floor"


def compiled(bench, name, *arguments):
    """The program of that source file, made anew when the source is newer."""
    source, program = HERE / f"{name}.c", pathlib.Path(bench.place, name)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        include = subprocess.run(["pg_config", "--includedir"], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["cc", "-O2", f"-I{include}", "-o", program, source, *arguments], check=True)
    return str(program)


@contextlib.contextmanager
def database(bench):
    with bench.server.database("floor") as name:
        with bench.server.connect(name) as connection:
            connection.execute((HERE / "schema.sql").read_text())
        yield name


def environment(bench, database):
    host, port, user, _ = bench.server.arguments(database)
    return os.environ | {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGDATABASE": database}


def start(bench, database, *arguments, **options):
    """The program floor.c; it ends when we are killed."""
    command = ["setpriv", "--pdeathsig", "TERM", compiled(bench, "floor", "-lpq"), *arguments]
    return subprocess.Popen(command, env=environment(bench, database), text=True, **options)


def run(bench, database, *arguments):
    """What it printed."""
    with start(bench, database, *arguments, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"floor {' '.join(arguments[:3])} ended with {process.returncode}")
    return output
