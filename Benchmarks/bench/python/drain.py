"""How many tasks a second, when many wait that do nothing: Hark's Python functions with two interpreters, PgQueuer with two
processes, and Hark's Swift functions, which show what Python costs.
"""

import contextlib
import statistics
import subprocess

from bench import draining
from bench import worker as hark
from bench.draining import SLOTS
from bench.report import Part, Target, disturbance, number, spread

INTERPRETERS = 2
BATCH_SIZE = 500


def run(bench):
    contestants = {
        "hark, Python": lambda: draining.drain_hark(bench, bench.tasks, "app.tasks.noop", python=hark.python_plain(bench, INTERPRETERS)),
        "pgqueuer": lambda: _pgqueuer(bench, bench.tasks),
        "hark, Swift": lambda: draining.drain_hark(bench, bench.tasks),
    }
    runs = draining.in_turn(bench, "drain", contestants)
    return _part(bench, runs)


def _part(bench, runs):
    part = Part(
        "python.drain", f"Drain: {bench.tasks:,} tasks that do nothing",
        f"Tasks a second, min / median / max of {bench.repetitions}. Hark: one worker, {SLOTS} slots, results kept; Python with {INTERPRETERS} interpreters. "
        f"PgQueuer: 2 processes, batch size {BATCH_SIZE}, asyncpg and uvloop, its log kept. CPU: microseconds for each task, of the workers with all "
        "their processes, and of the server with all of its.",
        ["", "tasks/s", "of the Swift function", "worker CPU us", "server CPU us"], figures={"tasks": bench.tasks, "runs": runs})
    rates = {name: [run["rate"] for run in those] for name, those in runs.items()}
    median = {name: statistics.median(those) for name, those in rates.items()}
    for name, those in runs.items():
        cpu = [number(statistics.median(run[side] for run in those) / bench.tasks * 1e6) for side in ("worker_cpu", "server_cpu")]
        part.rows.append([name, spread(rates[name]), number(median[name] / median["hark, Swift"]), *cpu])
    part.targets.append(Target("hark, Python / pgqueuer, of the medians", median["hark, Python"] / median["pgqueuer"], 1.2, at_least=True))
    ratios = [a / b for a, b in zip(rates["hark, Python"], rates["pgqueuer"])]
    part.notes.append(f"the same ratio in each repetition: {spread(ratios)}")
    part.notes.append(disturbance(run for those in runs.values() for run in those))
    return part


def _pgqueuer(bench, tasks):
    with bench.server.database("pgqueuer") as database:
        arguments = bench.server.arguments(database)
        for what in ("install", str(tasks)):
            subprocess.run([bench.python, f"{bench.projects}/pgqueuer/enqueue.py", *arguments, what], check=True)
        bench.server.settle(database, "pgqueuer", "pgqueuer_log")

        @contextlib.contextmanager
        def workers():
            command = [*hark.WITH_US, bench.python, f"{bench.projects}/pgqueuer/worker.py", *arguments, str(BATCH_SIZE)]
            running = [subprocess.Popen(command) for _ in range(2)]

            def check():
                if any(process.poll() is not None for process in running):
                    raise SystemExit("a process of PgQueuer has ended")

            try:
                yield [process.pid for process in running], check
            finally:
                for process in running:
                    process.terminate()
                codes = [process.wait() for process in running]
            if any(codes):
                raise SystemExit(f"the processes of PgQueuer ended with {codes}")

        last = f"select created from pgqueuer_log where job_id = {tasks} and status = 'successful'"
        all_done = """select count(*) filter (where status = 'successful'), max(created),
            count(*) filter (where status not in ('queued', 'picked', 'successful')) from pgqueuer_log"""
        return draining.timed(bench, database, tasks, "pgqueuer", workers, last, all_done)
