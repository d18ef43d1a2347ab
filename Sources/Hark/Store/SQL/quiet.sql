-- Is nobody about to commit a task without having rung? Called after arm.sql and before the last claim: only when quiet
-- and with nothing claimed may the worker sleep; else it looks again shortly.
--
-- $1 int4[]  buckets
--
-- Returns one row, quiet: SILENT was free for all of them.
select coalesce(bool_and(
  case when pg_try_advisory_lock(hark.silent_class(), b.bucket)
    then pg_advisory_unlock(hark.silent_class(), b.bucket) else false end), true) as quiet
from unnest($1::int4[]) b (bucket)
