-- Passes a ring on that this worker cannot answer, or could not exhaust: to two other sleepers of each queue, if there is still
-- something to be claimed there, or due within a minute. Called on the signal connection.
--
-- $1 text[]  queues
-- $2 int4    worker's id
--
-- Returns one row, passed: for how many queues something is left. When nobody sleeps any more, nobody is rung: who comes to sleep
-- looks first.
-- One descent of tasks_ready for each queue, and of tasks_scheduled if that found nothing.
select count(hark.ring(q.queue, 2, $2::int4))::int4 as passed
from unnest($1::text[]) q (queue)
where coalesce(
    (select true from only hark.tasks r where r.state = 'ready' and r.queue = q.queue limit 1),
    (select true from only hark.tasks r where r.state = 'scheduled' and r.queue = q.queue and r.run_at < now() + interval '1 minute' limit 1), false)
