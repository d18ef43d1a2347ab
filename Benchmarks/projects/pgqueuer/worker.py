"""One process of PgQueuer with an entrypoint that does nothing. Ends on SIGTERM.

The scheduler, which PgQueuer would run beside its queue manager, is left out: nothing is scheduled here.
"""

import asyncio
import signal
import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer

host, port, user, database, batch_size = sys.argv[1:]


async def main():
    connection = await asyncpg.connect(host=host, port=int(port), user=user, database=database)
    pgq = PgQueuer.from_asyncpg_connection(connection)

    @pgq.entrypoint("noop")
    async def noop(job):
        pass

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, pgq.shutdown.set)
    await pgq.qm.run(batch_size=int(batch_size))


uvloop.run(main())
