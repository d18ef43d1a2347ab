-- Says that a worker lives, and how it is. Called at least every 5 s.
--
-- $1 int4  id
-- $2 text  state: starting, working, draining
-- $3 text  listener, in words
-- $4 int4  tasks running
--
-- Returns its id, and sure_until (seconds since 1970): nobody takes its row away before that. Or no row: others have given it up
-- for dead, its tasks are theirs, and it must register anew.
update hark.workers
set beat_at = now(), state = $2::text, listener = $3::text, running = $4::int4
where id = $1::int4
returning id, extract(epoch from beat_at + hark.grace())::float8 as sure_until
