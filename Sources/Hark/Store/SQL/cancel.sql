-- Writes the outcome of running tasks that were cancelled. Called by the worker's turn, when the function has ended.
--
-- $1 int8[]   ids
-- $2 int8[]   tokens of their claims
-- $3 jsonb[]  error entries {kind, message, detail} (elements may be null); time, attempt and worker are added here
--
-- Returns the id of each one written. One that is missing is either locked by somebody (ask again next turn) or no longer
-- ours (held.sql says so). The plan is that of complete.sql.
with gone as (
  delete from only hark.tasks t
  where t.ctid = any (array(
    select mine.ctid
    from unnest($1::int8[], $2::int8[]) claim (id, token),
      lateral (
        select r.ctid from only hark.tasks r where r.id = claim.id and r.token = claim.token for update skip locked
      ) mine
  ))
  returning t.*
)
insert into hark.tasks_finished (
  id, state, queue, function, args, priority, run_at, attempt, max_attempts, timeout, unique_key, position,
  created_at, started_at, finished_at, worker_id, token, cancel_requested_at, errors)
select g.id, 'cancelled', g.queue, g.function, g.args, g.priority, g.run_at, g.attempt, g.max_attempts, g.timeout, g.unique_key, g.position,
  g.created_at, g.started_at, now(), g.worker_id, g.token, g.cancel_requested_at,
  hark.add_error(g.errors, o.error, g.attempt, (select w.name from hark.workers w where w.id = g.worker_id))
from gone g join unnest($1::int8[], $3::jsonb[]) o (id, error) on o.id = g.id
returning id
