-- Writes the outcome of tasks that completed: moves them to history with their results. Called by the worker's turn.
--
-- $1 int8[]   ids
-- $2 int8[]   tokens of their claims
-- $3 jsonb[]  results (elements may be null)
--
-- Returns the id of each one written. One that is missing is either locked by somebody (ask again next turn) or no longer
-- ours (held.sql says so): a row lock is never waited for.
--
-- The rows are found one by one through the primary key, fenced by token, and deleted by ctid. The state is not named in
-- the inner query: the planner could then take tasks_running instead of the primary key.
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
  created_at, started_at, finished_at, worker_id, token, cancel_requested_at, result, errors)
select g.id, 'completed', g.queue, g.function, g.args, g.priority, g.run_at, g.attempt, g.max_attempts, g.timeout, g.unique_key, g.position,
  g.created_at, g.started_at, now(), g.worker_id, g.token, g.cancel_requested_at, o.result, g.errors
from gone g join unnest($1::int8[], $3::jsonb[]) o (id, result) on o.id = g.id
returning id
