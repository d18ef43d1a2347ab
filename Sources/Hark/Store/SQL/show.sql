-- Everything about one task. For the command line and the dashboard.
--
-- $1 int8  id
--
-- Returns one row, task (JSON text, fields in the order in which people read them; times ISO 8601, timeout in seconds), or none.
-- Looks in the live table and in history, one probe of the primary key each.
select json_build_object(
  'id', t.id, 'state', t.state, 'queue', t.queue, 'function', t.function, 'args', t.args, 'priority', t.priority,
  'run_at', t.run_at, 'attempt', t.attempt, 'max_attempts', t.max_attempts,
  'timeout', extract(epoch from t.timeout)::float8, 'unique_key', t.unique_key, 'blocked_by', t.blocked_by,
  'position', t.position, 'created_at', t.created_at, 'started_at', t.started_at, 'finished_at', t.finished_at,
  'worker_id', t.worker_id, 'worker', (select w.name from hark.workers w where w.id = t.worker_id),
  'cancel_requested_at', t.cancel_requested_at, 'result', t.result, 'errors', coalesce(t.errors, '[]'))::text as task
from hark.tasks t
where t.id = $1::int8
