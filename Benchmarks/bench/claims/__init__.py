"""What a claim costs, whatever else is in the table: the benchmark `claims`."""

from bench.claims import backlog, lanes, log

PARTS = {"backlog": backlog, "lanes": lanes, "log": log}


def versions():
    return {}
