-- Arms the bell: takes SLEEP for these buckets, shared and for the session, and then SLEEPER, by which those who ring find
-- this worker. Called on the signal connection by a worker that found nothing to do, before quiet.sql and a last claim. The
-- session must have a lock_timeout (100 ms).
--
-- $1 int4[]  buckets, each once
-- $2 int4    worker's id
--
-- Returns one row, armed: how many. Waits for the microseconds that somebody probes a lock (a try would fail then, and
-- the worker would sleep deaf). When it fails, the locks it already took stay, as session locks do: run disarm.sql and poll.
select count(*)::int4 as armed
from unnest($1::int4[]) b (bucket),
  lateral (
    select pg_advisory_lock_shared(hark.sleep_class(), b.bucket), pg_advisory_lock(hark.sleeper_class(), hark.sleeper($2::int4, b.bucket)) offset 0
  ) taken
