-- Runs tasks (again) now, by hand. For the command line and the dashboard.
--
-- $1 int8[]  ids
--
-- Returns id, result (ready, skipped) and note for each, in the order of ids.
select r.id, r.result, r.note from hark.retry($1::int8[]) r
