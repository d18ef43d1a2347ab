-- When is the next scheduled task of each of these queues due? Called with each full look; sets the worker's timers.
--
-- $1 text[]  queues
-- $2 bool[]  for each: the worker was rung for it, and must know
-- $3 int4    worker's id
--
-- Returns queue and seconds (float8) from now on, for each queue that has a scheduled task; 0 or less when something is due
-- (more than promote.sql takes at once, or locked by somebody else). Null when another sleeper wakes for it (hark.keeps_time).
-- One descent of tasks_scheduled for each queue.
select q.queue,
  case when q.rung or hark.keeps_time($3::int4, q.queue) then extract(epoch from first.run_at - clock_timestamp())::float8 end as seconds
from unnest($1::text[], $2::bool[]) q (queue, rung),
  lateral (
    select r.run_at from only hark.tasks r
    where r.state = 'scheduled' and r.queue = q.queue
    order by r.run_at limit 1
  ) first
