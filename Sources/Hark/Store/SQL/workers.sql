-- The workers. For the command line, doctor and the dashboard.
--
-- Returns id, name, state, listener, queues (jsonb, a list), slots, running, hostname, pid, version, incarnation,
-- started_at (epoch seconds, float8), beat_age (float8, seconds since it was last heard of), connected (its session lock
-- is held), dead (it counts as dead and waits for its rescue).
select w.id, w.name, w.state, w.listener, to_jsonb(w.queues) as queues, w.slots, w.running, w.hostname, w.pid, w.version, w.incarnation,
  extract(epoch from w.started_at)::float8 as started_at,
  extract(epoch from now() - w.beat_at)::float8 as beat_age,
  not hark.worker_lock_is_free(w.id) as connected,
  hark.worker_is_dead(w, false) as dead
from hark.workers w
order by w.id
