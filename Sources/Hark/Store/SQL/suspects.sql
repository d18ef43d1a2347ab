-- Which other workers may be dead? Called at each poll.
--
-- $1 int4  own id, which is left out (a session sees its own lock free)
--
-- Returns id, name, pid, pid_start, boot_id, pid_namespace, and grace_left (float8): seconds until it counts as dead unless
-- its process is seen to be gone; 0 or less: now. Set a timer for that moment and call rescue.sql.
--
-- No rows when all is well, at the price of one lock probe for each worker. Reads hark.workers and nothing else.
select w.id, w.name, w.pid, w.pid_start, w.boot_id, w.pid_namespace,
  extract(epoch from hark.last_heard_of(w) + case when l.free then hark.grace() else hark.lost_after() end - now())::float8 as grace_left
from hark.workers w, lateral (select hark.worker_lock_is_free(w.id) as free offset 0) l
where w.id <> $1::int4
  and (l.free or hark.last_heard_of(w) < now() - hark.lost_after())
order by w.id
