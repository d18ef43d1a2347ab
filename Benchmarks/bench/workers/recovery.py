"""A worker that runs 20 tasks is killed, and another one started at once: how long until all of them have been started again?"""

import time

from bench import machine
from bench import worker as hark
from bench.report import Part, Target, disturbance, spread
from bench.waiting import wait_until, wait_until_settled

TASKS = 20


def run(bench):
    repetitions = 1 if bench.quick else 10
    fresh, recovered, runs = [], [], []
    for repetition in range(repetitions):
        bench.wait_for_quiet()
        others = machine.Disturbance()
        one, two = _once(bench)
        runs.append({"disturbance": others.share()})
        fresh.append(one)
        recovered.append(two)
        bench.progress(f"recovery {repetition + 1}/{repetitions}: {two:.3f} s, a plain start {one:.3f} s")
    part = Part(
        "workers.recovery", f"Recovery: SIGKILL of a worker with {TASKS} running tasks",
        f"Seconds, min / median / max of {repetitions}, from the SIGKILL, after whose victim another worker is started at once, to the moment at which the last of the tasks was claimed again. The floor: "
        "the same for a worker that starts with the tasks waiting.",
        ["", "seconds"], figures={"start": fresh, "recovery": recovered, "runs": runs})
    part.rows += [["a plain start", spread(fresh)], ["after a kill", spread(recovered)]]
    part.targets.append(Target(f"kill -9 with {TASKS} running, restarted: seconds until all were started again, the slowest", max(recovered), 1, at_least=False))
    part.notes.append(disturbance(runs))
    return part


def _once(bench):
    """Seconds to the last claim: of a worker from its start, and of the next one from the kill of the first."""
    with hark.database(bench) as database, bench.server.connect(database) as connection:
        connection.execute("insert into hark.tasks (function) select 'wait' from generate_series(1, %s)", [TASKS])

        def claimed(attempt, check):
            running = "select count(*), extract(epoch from max(started_at))::float8 from only hark.tasks where state = 'running' and attempt = %s"
            wait_until("all tasks run", lambda: connection.execute(running, [attempt]).fetchone()[0] == TASKS, check, pause=0.005)
            return connection.execute(running, [attempt]).fetchone()[1]

        began = time.time()
        with hark.Worker(bench, database, slots=TASKS) as worker:
            fresh = claimed(1, worker.check) - began
            # Until the answer has come and its functions run.
            wait_until_settled(worker.pid)
            began = time.time()
            worker.kill()
        with hark.Worker(bench, database, slots=TASKS) as worker:
            return fresh, claimed(2, worker.check) - began
