"""Enqueues so many tasks through PgQueuer's own client, or makes its tables: `install`."""

import asyncio
import sys

import asyncpg
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

host, port, user, database, what = sys.argv[1:]


async def main():
    queries = Queries(AsyncpgDriver(await asyncpg.connect(host=host, port=int(port), user=user, database=database)))
    if what == "install":
        await queries.install()
        return
    left = int(what)
    while left > 0:
        count = min(left, 10_000)
        await queries.enqueue(["noop"] * count, [None] * count, [0] * count)
        left -= count


asyncio.run(main())
