"""A server that counts statements, with pg_stat_statements, for the benchmarks that ask what was said to it."""

import contextlib
import dataclasses

from bench.server import Server

# What is counted is a statement with its row triggers. The bell, which is put off to the commit, the commit itself and the protocol are not.
SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}


@contextlib.contextmanager
def on_counting_server(bench, settings=None):
    """The same bench, on a server of its own; the extension is in the database postgres, and counts for all."""
    with Server(bench.place, settings=SETTINGS | (settings or {})) as server:
        with server.connect() as connection:
            connection.execute("create extension pg_stat_statements")
        yield dataclasses.replace(bench, server=server)
