-- Do tasks run for workers that have no row (any more)? It can be: a worker that was given up for dead may still have had a
-- claim under way, or somebody deleted its row by hand. Called when a worker starts, and every 12 poll intervals.
--
-- $1 int4  own id; only the eldest worker looks, the others get no rows at no cost
--
-- Returns the worker ids to hand to rescue.sql, which knows that a worker without a row is dead.
--
-- Walks tasks_running. Its entries of finished tasks stay while somebody holds an old snapshot, millions perhaps, so this
-- is not for each poll.
select distinct t.worker_id
from only hark.tasks t
where t.state = 'running'
  and not exists (select from hark.workers w where w.id = t.worker_id)
  and $1::int4 = (select min(w.id) from hark.workers w)
