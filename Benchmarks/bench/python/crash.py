"""From the death of an interpreter to the start of the next task, which waits behind it, with a single interpreter: for a project that imports next to
nothing, and for one with Django. Beside them what loading that project takes, which a worker without a fork server would have to wait for.
"""

import os
import statistics
import subprocess
import tempfile

from psycopg.types.json import Jsonb

from bench import worker as hark
from bench.report import Part, Target, spread
from bench.waiting import wait_until

LIMIT = 0.3


def run(bench):
    crashes, loads = (2, 2) if bench.quick else (20, 5)
    part = Part(
        "python.crash", "Crash: from the end of an interpreter to the start of the next task",
        f"Seconds, min / median / max of {crashes}; one interpreter, ended by SIGKILL. Import: what a fresh Python takes to load the project, "
        f"min / median / max of {loads}.",
        ["project", "crash to next task", "import"])
    with hark.database(bench) as database:
        projects = {
            "plain": (hark.python_plain(bench, 1), "app.tasks", "import app.tasks", {}),
            "Django": (
                hark.python_django(bench, database, 1), "sim.tasks", "import django; django.setup(); import sim.tasks",
                hark.django_environment(bench, database)),
        }
        for name, (python, module, load, environment) in projects.items():
            imports = _imports(bench, python["directory"], load, environment, loads)
            bench.progress(f"crash: {crashes} with the project {name}")
            with bench.server.connect(database) as connection, hark.Worker(bench, database, slots=1000, python=python) as worker:
                worker.wait_until_ready()
                bench.wait_for_quiet()
                times = [_crash(bench, connection, worker, module) for _ in range(crashes)]
            part.rows.append([name, spread(times), spread(imports)])
            part.figures[name] = {"seconds": times, "import_seconds": imports}
            part.targets.append(Target(
                f"{name}: the slowest, in seconds, beside {LIMIT} and the median import", max(times), LIMIT + statistics.median(imports), at_least=False))
    return part


def _crash(bench, connection, worker, module):
    with tempfile.TemporaryDirectory(dir=bench.place) as directory:
        left = f"{directory}/moment"
        ids = [row[0] for row in connection.execute(
            "insert into hark.tasks (function, args, max_attempts) values (%s, %s, 1), (%s, '[]', 1) returning id",
            [f"{module}.crash", Jsonb([left]), f"{module}.now"])]
        states = "select array_agg(state order by id), max(result::bigint) from hark.tasks_finished where id = any (%s)"
        wait_until("both tasks are done", lambda: len(connection.execute(states, [ids]).fetchone()[0] or []) == 2, worker.check)
        found, began = connection.execute(states, [ids]).fetchone()
        if found != ["failed", "completed"]:
            raise SystemExit(f"the tasks of a crash came out as {found}")
        with open(left) as file:
            crashed = int(file.read())
    # The next one finds everything as it was.
    worker.wait_until_ready()
    return (began - crashed) / 1e9


def _imports(bench, directory, load, environment, count):
    program = f"import sys, time; began = time.perf_counter(); sys.path.insert(0, {directory!r}); {load}; print(time.perf_counter() - began)"
    variables = {**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "core.settings"}
    return [float(subprocess.run([bench.python, "-c", program], env=variables, check=True, capture_output=True, text=True).stdout) for _ in range(count)]
