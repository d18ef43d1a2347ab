-- How each queue is doing. For the command line, the dashboard and metrics.
--
-- Returns, for each queue with live tasks or tasks finished within the hour: queue; ready, scheduled, blocked, running
-- (int8); oldest_ready (float8, seconds since the longest waiting ready task was due, or null); completed_minute,
-- failed_minute, cancelled_minute, completed_hour, failed_hour, cancelled_hour (int8).
--
-- Counts the live table; of history only the last hour, through tasks_finished_at.
select queue,
  coalesce(ready, 0) as ready, coalesce(scheduled, 0) as scheduled, coalesce(blocked, 0) as blocked, coalesce(running, 0) as running,
  oldest_ready,
  coalesce(completed_minute, 0) as completed_minute, coalesce(failed_minute, 0) as failed_minute,
  coalesce(cancelled_minute, 0) as cancelled_minute,
  coalesce(completed_hour, 0) as completed_hour, coalesce(failed_hour, 0) as failed_hour, coalesce(cancelled_hour, 0) as cancelled_hour
from (
  select t.queue,
    count(*) filter (where t.state = 'ready') as ready,
    count(*) filter (where t.state = 'scheduled') as scheduled,
    count(*) filter (where t.state = 'blocked') as blocked,
    count(*) filter (where t.state = 'running') as running,
    extract(epoch from now() - min(t.run_at) filter (where t.state = 'ready'))::float8 as oldest_ready
  from only hark.tasks t
  group by t.queue
) live
full join (
  select f.queue,
    count(*) filter (where f.state = 'completed' and f.finished_at > now() - interval '1 minute') as completed_minute,
    count(*) filter (where f.state = 'failed' and f.finished_at > now() - interval '1 minute') as failed_minute,
    count(*) filter (where f.state = 'cancelled' and f.finished_at > now() - interval '1 minute') as cancelled_minute,
    count(*) filter (where f.state = 'completed') as completed_hour,
    count(*) filter (where f.state = 'failed') as failed_hour,
    count(*) filter (where f.state = 'cancelled') as cancelled_hour
  from hark.tasks_finished f
  where f.finished_at > now() - interval '1 hour'
  group by f.queue
) history using (queue)
order by queue
