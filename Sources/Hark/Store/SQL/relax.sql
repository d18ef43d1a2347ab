-- Does not wait for the disk at the commit: a crash of the server may undo this transaction, though never part of it. Sent first in a
-- round trip that only claims, and promotes what is due, for queues without durable_claims.
select set_config('synchronous_commit', 'off', true)
