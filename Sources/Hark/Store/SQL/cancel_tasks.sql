-- Cancels tasks by hand. For the command line and the dashboard.
--
-- $1 int8[]  ids
--
-- Returns id, result (cancelled, requested, skipped) and note for each, in the order of ids.
select c.id, c.result, c.note from hark.cancel($1::int8[]) c
