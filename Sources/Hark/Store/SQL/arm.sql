-- Arms the bell: takes SLEEP for these buckets, shared and for the session. Called on the signal connection by a worker
-- that found nothing to do, before quiet.sql and a last claim. The session must have a lock_timeout (100 ms).
--
-- $1 int4[]  buckets, each once
--
-- Returns one row, armed: how many. Waits for the microseconds that somebody probes a lock (a try would fail then, and
-- the worker would sleep deaf). When it fails, the locks it already took stay, as session locks do: run disarm.sql and poll.
select count(pg_advisory_lock_shared(hark.sleep_class(), b.bucket))::int4 as armed from unnest($1::int4[]) b (bucket)
