"""How many tasks a second, when 40,000 that do nothing wait in the queue: Hark's Python functions with two interpreters, PgQueuer with two
processes, and Hark's Swift functions, which show what Python costs.

All start the same way, so that nothing but the work is in the figure. The tasks are there before; then the harness locks the table,
starts the worker, waits until it is ready and its first claim waits for the lock, looks at the server's clock and lets go.
The end is the moment of the transaction that wrote the last outcome, by the server's clock too.
"""

import contextlib
import statistics
import subprocess

from bench import machine, processes
from bench import worker as hark
from bench.report import Part, Target, number, spread
from bench.waiting import wait_until, wait_until_settled

SLOTS = 1000
INTERPRETERS = 2
BATCH_SIZE = 500


def run(bench):
    contestants = {"hark, Python": _hark_python, "pgqueuer": _pgqueuer, "hark, Swift": _hark_swift}
    runs = {name: [] for name in contestants}
    if not bench.quick:
        for name, contestant in contestants.items():
            bench.progress(f"drain: warming up, {name}")
            contestant(bench, bench.tasks)
    for repetition in range(bench.repetitions):
        # Nobody is always the first, or always behind the same one.
        order = list(contestants)[repetition % 3:] + list(contestants)[:repetition % 3]
        for name in order:
            run = bench.undisturbed(name, lambda: contestants[name](bench, bench.tasks))
            runs[name].append(run)
            bench.progress(f"drain {repetition + 1}/{bench.repetitions}: {name}: {run['rate']:,.0f}/s")
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
    part.notes.append(f"others used at most {max(run['disturbance'] for those in runs.values() for run in those):.0%} of the CPUs")
    return part


def _hark_python(bench, tasks):
    return _hark(bench, tasks, "app.tasks.noop", hark.python_plain(bench, INTERPRETERS))


def _hark_swift(bench, tasks):
    return _hark(bench, tasks, "noop", None)


def _hark(bench, tasks, function, python):
    with hark.database(bench) as database:
        with bench.server.connect(database) as connection:
            connection.execute("insert into hark.tasks (function) select %s from generate_series(1, %s)", [function, tasks])
        bench.server.settle(database, "hark.tasks")

        @contextlib.contextmanager
        def workers():
            with hark.Worker(bench, database, slots=SLOTS, python=python) as worker:
                worker.wait_until_ready()
                yield [worker.pid], worker.check

        last = f"select finished_at from hark.tasks_finished where id = {tasks}"
        all_done = "select count(*), max(finished_at), count(*) filter (where state <> 'completed' or attempt <> 1) from hark.tasks_finished"
        return _drain(bench, database, tasks, "hark.tasks", workers, last, all_done)


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
        return _drain(bench, database, tasks, "pgqueuer", workers, last, all_done)


def _drain(bench, database, tasks, table, workers, last, all_done):
    """
    last: answers whether the task that was enqueued last is done; asked 20 times a second, so it must cost nothing.
    all_done: how many are, when the last outcome was written, and how many did not come out as they should.
    """
    with bench.server.connect(database) as watch, bench.server.connect(database, autocommit=False) as holder:
        holder.execute(f"lock table {table} in access exclusive mode")
        with workers() as (pids, check):
            waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            wait_until("every worker waits for the lock", lambda: watch.execute(waiting).fetchone()[0] >= len(pids), check)
            wait_until_settled(*pids)
            others = machine.Disturbance()
            cpu = processes.cpu(*pids), processes.cpu(bench.server.pid)
            began = holder.execute("select clock_timestamp()").fetchone()[0]
            holder.commit()
            wait_until("the last task is done", lambda: watch.execute(last).fetchone() and watch.execute(all_done).fetchone()[0] == tasks, check, pause=0.05)
            cpu = processes.cpu(*pids) - cpu[0], processes.cpu(bench.server.pid) - cpu[1]
            disturbance = others.share()
            _, ended, wrong = watch.execute(all_done).fetchone()
            if wrong:
                raise SystemExit(f"{wrong} of {tasks} tasks did not come out as they should")
    seconds = (ended - began).total_seconds()
    return {"seconds": seconds, "rate": tasks / seconds, "worker_cpu": cpu[0], "server_cpu": cpu[1], "disturbance": disturbance}
