-- Does another worker still see to these queues? Called by a reserve at its polls.
--
-- $1 int4    worker's id
-- $2 text[]  its queues
--
-- Returns one row, guarded.
select hark.is_guarded($1::int4, $2::text[]) as guarded
