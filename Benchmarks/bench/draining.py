"""How long a queue takes to become empty: the way of measuring that all drains share, for Hark and for the floor.

All start the same way, so that nothing but the work is in the figure. The tasks are there before; then the harness locks the table,
starts the workers, waits until they are ready and their first claims wait for the lock, looks at the server's clock and lets go.
The end is the moment of the transaction that wrote the last outcome, by the server's clock too.
"""

import contextlib
import json

from bench import floor, machine, processes
from bench import worker as hark
from bench.waiting import wait_until, wait_until_settled

SLOTS = 1000
# What a task carries, for Hark and for the floor: 230 bytes, as an application's would.
ARGS = {
    "to": "someone@example.org", "subject": "Welcome to the service", "template": "welcome_v2", "locale": "en-GB", "user_id": 123456,
    "attempt_hint": 3, "tags": ["onboarding", "transactional"], "ref": "abcdef",
}


def drain_hark(bench, tasks, function="noop", *, args=(), python=None, workers=1, slots=SLOTS, held=False, queues=("default",), priorities=(0,), functions=None):
    """One database, `tasks` tasks of the function, spread over the queues and priorities, so many workers. `held`: somebody has a snapshot open all the time."""
    with hark.database(bench) as database:
        with bench.server.connect(database) as connection:
            connection.execute(
                "insert into hark.tasks (function, args, queue, priority)"
                " select %s, %s::jsonb, (%s::text[])[1 + n %% %s], (%s::int2[])[1 + n / %s %% %s] from generate_series(1, %s) n",
                [function, json.dumps(args), list(queues), len(queues), list(priorities), len(queues), len(priorities), tasks])
        bench.server.settle(database, "hark.tasks")

        @contextlib.contextmanager
        def start():
            with contextlib.ExitStack() as stack:
                started = [stack.enter_context(hark.Worker(bench, database, slots=slots, queues=queues, functions=functions, python=python)) for _ in range(workers)]
                for worker in started:
                    worker.wait_until_ready()
                yield [worker.pid for worker in started], lambda: [worker.check() for worker in started]

        # Which one is the last depends on the lanes: with more than one the count is asked for 20 times a second, which on one queue made no difference that could be measured.
        last = f"select finished_at from hark.tasks_finished where id = {tasks}" if len(queues) == len(priorities) == 1 else "select true"
        all_done = "select count(*), max(finished_at), count(*) filter (where state <> 'completed' or attempt <> 1) from hark.tasks_finished"
        with _snapshot(bench, database, held):
            return timed(bench, database, tasks, "hark.tasks", start, last, all_done)


def drain_floor(bench, tasks, *, batch=1000, held=False):
    """The C program that claims and completes with nothing between, on tables that have the least."""
    with floor.database(bench) as database:
        with bench.server.connect(database) as connection:
            connection.execute("insert into floor.task (name, args) select 'send_mail', %s::jsonb from generate_series(1, %s)", [json.dumps(ARGS), tasks])
        bench.server.settle(database, "floor.task")
        bench.wait_for_quiet()
        with _snapshot(bench, database, held):
            others = machine.Disturbance()
            cpu = processes.cpu(bench.server.pid)
            with bench.server.connect(database) as connection:
                log = connection.execute("select pg_current_wal_insert_lsn()").fetchone()[0]
                run = json.loads(floor.run(bench, database, "drain", str(batch)))
                written = connection.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", [log]).fetchone()[0]
            server = processes.cpu(bench.server.pid) - cpu
            disturbance = others.share()
    if run["tasks"] != tasks:
        raise SystemExit(f"the floor drained {run['tasks']} of {tasks} tasks")
    return run | {"rate": tasks / run["seconds"], "server_cpu": server, "wal": int(written) / tasks, "disturbance": disturbance}


@contextlib.contextmanager
def _snapshot(bench, database, held):
    if not held:
        yield
        return
    with bench.server.connect(database, autocommit=False) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from pg_class")
        yield
        holder.rollback()


def timed(bench, database, tasks, table, workers, last, all_done):
    """
    workers: a context that starts them; their pids, and what raises when one has ended.
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
            log = watch.execute("select pg_current_wal_insert_lsn()").fetchone()[0]
            began = holder.execute("select clock_timestamp()").fetchone()[0]
            holder.commit()
            wait_until("the last task is done", lambda: watch.execute(last).fetchone() and watch.execute(all_done).fetchone()[0] == tasks, check, patience=600, pause=0.05)
            cpu = processes.cpu(*pids) - cpu[0], processes.cpu(bench.server.pid) - cpu[1]
            written = watch.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", [log]).fetchone()[0]
            disturbance = others.share()
            _, ended, wrong = watch.execute(all_done).fetchone()
            if wrong:
                raise SystemExit(f"{wrong} of {tasks} tasks did not come out as they should")
    seconds = (ended - began).total_seconds()
    return {"seconds": seconds, "rate": tasks / seconds, "worker_cpu": cpu[0], "server_cpu": cpu[1], "wal": int(written) / tasks, "disturbance": disturbance}


def in_turn(bench, what, contestants, repetitions=None):
    """Runs of each contestant, a name and what measures it: a warm-up that does not count, then the repetitions, each in another order."""
    repetitions = repetitions or bench.repetitions
    runs = {name: [] for name in contestants}
    if not bench.quick:
        for name, contestant in contestants.items():
            bench.progress(f"{what}: warming up, {name}")
            contestant()
    for repetition in range(repetitions):
        # Nobody is always the first, or always behind the same one.
        shift = repetition % len(contestants)
        for name in [*list(contestants)[shift:], *list(contestants)[:shift]]:
            run = bench.undisturbed(name, contestants[name])
            runs[name].append(run)
            bench.progress(f"{what} {repetition + 1}/{repetitions}: {name}: {run['rate']:,.0f}/s")
    return runs
