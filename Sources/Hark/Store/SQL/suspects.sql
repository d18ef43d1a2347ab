-- Which other workers may be dead? Called at each poll.
--
-- $1 int4  own id, which is left out (a session sees its own lock free)
--
-- Returns id, name, pid, pid_start, boot_id, pid_namespace, and grace_left (float8): seconds until it counts as dead unless
-- its process is seen to be gone; 0 or less: now. Set a timer for that moment and call rescue.sql. A row with nothing but
-- an id is that of orphans: tasks that run for a worker which has no row. Only the eldest worker looks for those.
--
-- No rows when all is well, at the price of one lock probe for each worker (and for the eldest, a look at what runs).
select w.id, w.name, w.pid, w.pid_start, w.boot_id, w.pid_namespace,
  extract(epoch from hark.last_heard_of(w) + case when l.free then hark.grace() else hark.lost_after() end - now())::float8 as grace_left
from hark.workers w, lateral (select hark.worker_lock_is_free(w.id) as free offset 0) l
where w.id <> $1::int4
  and (l.free or hark.last_heard_of(w) < now() - hark.lost_after())
union all
select distinct t.worker_id, null, null::int4, null::int8, null, null, 0::float8
from only hark.tasks t
where t.state = 'running'
  and not exists (select from hark.workers w where w.id = t.worker_id)
  and $1::int4 = (select min(w.id) from hark.workers w)
