-- Do others still see to these queues? Called by a reserve, or a worker that stands by, at its polls.
--
-- $1 int4    worker's id
-- $2 text[]  the queues for which it sleeps
-- $3 bool    it stands by: who has SLEEP must be a worker that is heard of
--
-- Returns one row, guarded.
select case when $3::bool then hark.are_answered(hark.buckets($2::text[])) else hark.is_guarded($1::int4, $2::text[]) end as guarded
