-- Is nobody about to commit a task without having rung? Called after arm.sql and before a claim: only when quiet and with
-- nothing claimed may the worker sleep; else it looks again shortly.
--
-- $1 text[]  queues
--
-- Returns one row, quiet: SILENT was free for all of them.
select hark.is_quiet($1::text[]) as quiet
