-- When is the next scheduled task of each of these queues due? Called with each full look; sets the worker's timers.
--
-- $1 text[]  queues
--
-- Returns queue and seconds (float8) from now on, for each queue that has a scheduled task; 0 or less when something is due
-- (more than promote.sql takes at once, or locked by somebody else). One descent of tasks_scheduled for each queue.
select q.queue, extract(epoch from first.run_at - clock_timestamp())::float8 as seconds
from unnest($1::text[]) q (queue),
  lateral (
    select r.run_at from only hark.tasks r
    where r.state = 'scheduled' and r.queue = q.queue
    order by r.run_at limit 1
  ) first
