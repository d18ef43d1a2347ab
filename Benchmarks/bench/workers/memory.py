"""Does a worker grow? Its memory after each tenth of a million tasks."""

from bench import machine, processes
from bench import worker as hark
from bench.draining import SLOTS
from bench.report import Part, Target, disturbance, number
from bench.waiting import wait_until, wait_until_settled

ROUNDS = 10


def run(bench):
    each = bench.tasks if bench.quick else max(bench.tasks, 100_000)
    sizes = []
    with hark.database(bench) as database, bench.server.connect(database) as connection, hark.Worker(bench, database, slots=SLOTS) as worker:
        worker.wait_until_ready()
        others = machine.Disturbance()
        for round in range(ROUNDS + 1):
            wait_until_settled(worker.pid)
            memory = processes.memory_map(worker.pid)
            sizes.append({"tasks": round * each, "pss": memory["Pss"], "anonymous": memory["Pss_Anon"], "peak": processes.peak(worker.pid)})
            bench.progress(f"memory: {round * each:,} tasks: {number(memory['Pss'])} MB")
            if round == ROUNDS:
                break
            connection.execute("insert into hark.tasks (function) select 'noop' from generate_series(1, %s)", [each])
            left = "select 1 from only hark.tasks limit 1"
            wait_until("all tasks are done", lambda: not connection.execute(left).fetchone(), worker.check, patience=600, pause=0.1)
        runs = [{"disturbance": others.share()}]
    part = Part(
        "workers.memory", f"Memory: {ROUNDS * each:,} tasks in one worker",
        f"MB, after every {each:,} tasks of a Swift function that does nothing, when the worker has settled. Peak: the most that it had resident at any moment.",
        ["tasks", "PSS", "anonymous", "peak"], figures={"sizes": sizes, "runs": runs})
    part.rows += [[f"{size['tasks']:,}", number(size["pss"]), number(size["anonymous"]), number(size["peak"])] for size in sizes]
    part.targets.append(Target(f"memory at the end / after the first {each:,}", sizes[-1]["pss"] / sizes[1]["pss"], 1.05, at_least=False))
    # The first rounds fill what is kept for the next ones.
    part.targets.append(Target("memory at the end / half-way", sizes[-1]["pss"] / sizes[ROUNDS // 2]["pss"], 1.05, at_least=False))
    part.notes.append(disturbance(runs))
    return part
