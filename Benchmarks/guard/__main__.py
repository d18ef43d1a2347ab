"""The command line, which `scripts/guard` calls."""

import argparse
import json
import os
import pathlib
import signal
import sys

from guard import accepted
from guard.accepted import Figure


def main():
    options = _options()
    if options.check:
        return
    known = accepted.load(options.accepted)
    measured = _measured(options)
    if options.accept:
        unknown = [name for name in options.accept if name != "all" and name not in measured and name not in known["figures"]]
        if unknown:
            raise SystemExit(f"There is no figure {unknown[0]}; there are: {', '.join(measured)}")
        changed = accepted.accept(known, measured, options.accept, options.note)
        accepted.save(options.accepted, known)
        print(f"Accepted: {', '.join(changed) or 'nothing, since nothing has changed'}", file=sys.stderr)
    verdicts = accepted.judge(known, measured)
    print(accepted.table(verdicts))
    failures = [verdict.name for verdict in verdicts if verdict.fails]
    if failures:
        raise SystemExit(
            f"Not as accepted: {', '.join(failures)}. A figure may be {accepted.MARGIN:.0%} worse. If this is the price of something that is worth it: "
            './scripts/guard --accept NAME... --note "why"')


def _options():
    parser = argparse.ArgumentParser(prog="./scripts/guard", description="Compares what Hark costs with what was accepted. CONTRIBUTING.md says how to read it.")
    # What the script itself gives, and the tests.
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    parser.add_argument("--measured", help=argparse.SUPPRESS)
    parser.add_argument("--accepted", default=pathlib.Path(__file__).resolve().parent.parent / "guard.json", help=argparse.SUPPRESS)
    parser.add_argument("--accept", nargs="+", metavar="NAME", help="figures that are accepted as they are measured now, or: all")
    parser.add_argument("--note", metavar="WHY", help="why; kept with the figures")
    options = parser.parse_args()
    if options.accept and not (options.note and options.note.strip()):
        parser.error("--accept needs a reason: --note \"why\"")
    if options.note and not options.accept:
        parser.error("--note belongs to --accept")
    if options.accept and "all" in options.accept:
        options.accept = ["all"]
    return options


def _measured(options):
    if options.measured:
        with open(options.measured) as file:
            return {name: Figure(**figure) for name, figure in json.load(file).items()}
    from guard import measuring

    # What the caller's own Hark or PostgreSQL is set to must not lead us there.
    for name in list(os.environ):
        if name.startswith(("HARK_", "PG")) or name == "DATABASE_URL":
            del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return measuring.everything(options.program, options.place)


main()
