"""Instructions that the client spends on each task, counted by valgrind: twice as many tasks, less as many."""

import os
import re
import subprocess

from guard.accepted import Figure

# What is not the same in two runs otherwise: where things lie in a dictionary.
ENVIRONMENT = {"SWIFT_DETERMINISTIC_HASHING": "1"}
# Of each part, how many tasks.
PURE = {"brain": 5_000, "parameters": 5_000, "function": 1_000}
STORE = 2_000


def compiler():
    said = subprocess.run(["swiftc", "--version"], check=True, capture_output=True, text=True).stdout
    version, machine = re.search(r"Swift version (\S+)", said), re.search(r"Target: ([^-\s]+)", said)
    return f"Swift {version[1]} on {machine[1]}"


def pure(program):
    by = compiler()
    return {name: _figure(by, tasks, lambda count: _count(program, name, count)) for name, tasks in PURE.items()}


def store(program, database):
    """`database`: a context with a new database of ready tasks for each run, and its URL."""

    def count(tasks):
        with database() as url:
            return _count(program, "store", tasks, url)

    return {"store": _figure(compiler(), STORE, count)}


def _figure(by, tasks, count):
    return Figure((count(2 * tasks) - count(tasks)) / tasks, "instructions per task", by)


def _count(program, part, tasks, *arguments):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, part, str(tasks), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ENVIRONMENT)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or done.stdout.strip() != str(tasks) or not collected:
        raise SystemExit(f"{part} did not do its {tasks} tasks under valgrind: {done.stdout}{done.stderr}")
    return int(collected[1])
