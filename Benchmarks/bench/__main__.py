"""The command line: `scripts/bench` calls it with the Python of the virtual environment, which is also the one that is measured."""

import argparse
import dataclasses
import datetime
import importlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from bench import machine, report
from bench.server import Server

# Each is a module of this package with PARTS, in the order in which they are run, each of which has `run(bench)` and returns one table; and `versions()`.
NAMES = ["queue", "latency", "insert", "claims", "workers", "scale", "profile", "python"]


@dataclasses.dataclass
class Bench:
    """What a benchmark is given."""

    hark: str
    python: str
    place: str
    projects: str
    quick: bool
    tasks: int
    repetitions: int
    server: Server = None
    began: float = dataclasses.field(default_factory=time.monotonic)

    def progress(self, text):
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", file=sys.stderr, flush=True)

    def wait_for_quiet(self):
        """A quick run does not wait."""
        if not self.quick:
            machine.wait_for_quiet(self.progress)

    def undisturbed(self, what, measure):
        """What `measure` returns, a dict whose key `disturbance` says what others took: the first run that nobody disturbed, else the best of three."""
        runs = []
        while not runs or (runs[-1]["disturbance"] > machine.Disturbance.LIMIT and len(runs) < (1 if self.quick else 3)):
            self.wait_for_quiet()
            runs.append(measure())
            if runs[-1]["disturbance"] > machine.Disturbance.LIMIT:
                self.progress(f"{what}: disturbed, others used {runs[-1]['disturbance']:.0%} of the CPUs")
        return min(runs, key=lambda run: run["disturbance"])


def main():
    options = _options()
    here = pathlib.Path(__file__).resolve().parent.parent
    # A copy, because Python leaves its bytecode beside what it imports.
    projects = shutil.copytree(here / "projects", f"{options.place}/projects", dirs_exist_ok=True)
    bench = Bench(
        options.hark, sys.executable, options.place, projects, options.quick,
        options.tasks or (2_000 if options.quick else 100_000), options.repetitions or (1 if options.quick else 5))
    # What the caller's own Hark or PostgreSQL is set to must not lead us there.
    for name in list(os.environ):
        if name.startswith(("HARK_", "PG")) or name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"):
            del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _sweep(bench.place)
    bench.wait_for_quiet()
    settings = machine.description(bench.place)
    for name in dict.fromkeys(name for name, _ in options.parts):
        settings |= importlib.import_module(f"bench.{name}").versions()
    settings["hark"] = _version(here)
    parts = []
    with Server(bench.place) as bench.server:
        settings["PostgreSQL"] = ", ".join(f"{name} {value}" for name, value in bench.server.description().items())
        settings["command"] = " ".join(["./scripts/bench", *sys.argv[5:]])
        if bench.quick:
            settings["quick"] = "few tasks, once, on a machine that may be busy: shows that it runs, not how fast it is"
        heading = "\n".join(f"- {name}: {value}" for name, value in settings.items()) + "\n"
        print(heading, flush=True)
        for _, part in options.parts:
            parts.append(part.run(bench))
            print(parts[-1].markdown(), flush=True)
    print(report.summary(parts), flush=True)
    _keep(bench.place, options.names, settings, heading, parts)


def _options():
    known = {}
    for name in NAMES:
        parts = importlib.import_module(f"bench.{name}").PARTS
        known[name] = [(name, part) for part in parts.values()]
        known |= {f"{name}.{part}": [(name, module)] for part, module in parts.items()}
    parser = argparse.ArgumentParser(prog="./scripts/bench", description="Measures Hark beside its rivals and floors. Benchmarks/README.md says what and how.")
    # What the script itself gives.
    parser.add_argument("--hark", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--place", required=True, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES, help=f"what to measure: {', '.join(known)}; everything if none is named")
    parser.add_argument("--quick", action="store_true", help="few tasks, once: shows that the benchmarks run, not how fast anything is")
    parser.add_argument("--tasks", type=int, metavar="N", help="how many to drain: 100,000, or 2,000 with --quick")
    parser.add_argument("--repetitions", type=int, metavar="N", help="of each drain: 5, or 1 with --quick")
    options = parser.parse_intermixed_args()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are: {', '.join(known)}")
    options.parts = [part for name in options.names for part in known[name]]
    if any(number is not None and number < 1 for number in (options.tasks, options.repetitions)):
        parser.error("--tasks and --repetitions take a number from 1 on")
    return options


def _sweep(place):
    """What a run that was killed has left; nobody else is here, for the script holds a lock."""
    for left in (*pathlib.Path(place).glob("postgresql-*"), *pathlib.Path(place).glob("worker-*")):
        shutil.rmtree(left)


def _version(here):
    done = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "not from a git repository"


def _keep(place, names, settings, heading, parts):
    results = pathlib.Path(place, "results")
    results.mkdir(exist_ok=True)
    stem = results / f"{'-'.join(names)}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    # Names have dots in them, so these are not with_suffix.
    pathlib.Path(f"{stem}.md").write_text(heading + "\n" + "\n".join([*(part.markdown() for part in parts), report.summary(parts)]))
    pathlib.Path(f"{stem}.json").write_text(json.dumps({"settings": settings, "parts": [part.json() for part in parts]}, indent=1, default=str) + "\n")
    print(f"Kept in {stem}.md and .json")


main()
