-- What waits for a function that no worker runs. Called by doctor. Goes through tasks_blocked.
--
-- Returns queue, function, tasks (int8), oldest (float8, seconds since the eldest of them was due), most first.
select t.queue, t.function, count(*) as tasks, extract(epoch from now() - min(t.run_at))::float8 as oldest
from only hark.tasks t
where t.state = 'blocked' and t.blocked_by = 'function'
group by t.queue, t.function
order by count(*) desc, t.queue, t.function
