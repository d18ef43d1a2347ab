"""A server whose syncs take longer, as those of a network disk do."""

import os

from bench import floor
from bench.server import Server

MICROSECONDS = 2_000


def server(bench):
    # Where the server's user can read it: in the place itself.
    library = floor.compiled(bench, "slow_disk", "-shared", "-fPIC")
    return Server(bench.place, environment=os.environ | {"LD_PRELOAD": library, "SLOW_DISK_MICROSECONDS": str(MICROSECONDS)})
