"""How many executables a second a worker runs, beside a C program that does the least for each."""

import json
import pathlib
import shutil
import statistics
import subprocess

from bench import draining, floor, machine
from bench.report import Part, Target, disturbance, number, spread

SLOTS = 8
FLOOR = "C, one after the other"
AS_MANY = f"C, {SLOTS} at a time"
LIBRARY = f"swift-subprocess, {SLOTS} at a time"


def run(bench):
    tasks = 100 if bench.quick else 3_000
    repetitions = min(bench.repetitions, 5)
    functions = pathlib.Path(bench.place, "functions")
    functions.mkdir(exist_ok=True)
    program = floor.compiled(bench, "child", "-static")
    shutil.copy(program, functions / "child")
    contestants = {
        FLOOR: lambda: _spawn(bench, tasks, 1, program, [floor.compiled(bench, "spawn")]),
        AS_MANY: lambda: _spawn(bench, tasks, SLOTS, program, [floor.compiled(bench, "spawn")]),
        LIBRARY: lambda: _spawn(bench, tasks, SLOTS, program, [bench.hark, "spawn-alone"]),
        "hark": lambda: draining.drain_hark(bench, tasks, "child", slots=SLOTS, functions=str(functions)),
    }
    runs = draining.in_turn(bench, "executables", contestants, repetitions)
    part = Part(
        "workers.executables", f"Executables: {tasks:,} tasks, {SLOTS} slots",
        f"A second, min / median / max of {repetitions}. A small static program that reads its stdin to the end. C: a program that starts them with posix_spawn, in a process group each, "
        "with pipes for stdin, stdout and stderr, and waits for them; there is no database. The floor is that of one after the other. swift-subprocess: the same with the library that Hark uses, "
        "and nothing of Hark.",
        ["", "tasks/s", "of the floor"], figures={"tasks": tasks, "runs": runs})
    median = {name: statistics.median(run["rate"] for run in those) for name, those in runs.items()}
    part.rows += [[name, spread([run["rate"] for run in those]), number(median[name] / median[FLOOR])] for name, those in runs.items()]
    part.targets.append(Target("executable functions / a posix_spawn loop in C", median["hark"] / median[FLOOR], 0.9, at_least=True))
    part.notes.append(f"executable functions / the same loop with {SLOTS} at a time: {number(median['hark'] / median[AS_MANY])}; / the library alone: {number(median['hark'] / median[LIBRARY])}")
    part.notes.append(disturbance(run for those in runs.values() for run in those))
    return part


def _spawn(bench, count, at_once, program, command):
    bench.wait_for_quiet()
    others = machine.Disturbance()
    done = subprocess.run([*command, str(count), str(at_once), program], check=True, capture_output=True, text=True)
    run = json.loads(done.stdout)
    return run | {"rate": count / run["seconds"], "disturbance": others.share()}
