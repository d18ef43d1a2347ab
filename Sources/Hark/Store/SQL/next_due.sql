-- When is the next scheduled task of these queues due? Sets the worker's timer before it sleeps.
--
-- $1 text[]  queues
--
-- Returns one row, seconds (float8): from now on, null when nothing is scheduled, 0 or less when something is due (which
-- promote.sql may still not get, if somebody else has it locked). One descent of tasks_scheduled for each queue.
select (extract(epoch from min(first.run_at)) - extract(epoch from clock_timestamp()))::float8 as seconds
from unnest($1::text[]) q (queue),
  lateral (
    select r.run_at from only hark.tasks r
    where r.state = 'scheduled' and r.queue = q.queue
    order by r.run_at limit 1
  ) first
