-- Scheduled tasks whose time has come and that nobody has made ready. Called by doctor. Goes through tasks_scheduled.
--
-- Returns queue, tasks (int8), oldest (float8, seconds): only those overdue for more than 10 s, twice the ordinary poll interval.
select t.queue, count(*) as tasks, extract(epoch from now() - min(t.run_at))::float8 as oldest
from only hark.tasks t
where t.state = 'scheduled' and t.run_at < now() - interval '10 seconds'
group by t.queue
order by t.queue
