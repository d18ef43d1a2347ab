-- Lists tasks, newest first. For the command line and the dashboard.
--
-- $1 text    queue, or null for all           $4 float8  only those older than so many seconds, or null
-- $2 text    function, or null                $5 int4    how many at most
-- $3 text[]  states, or null                  $6 int8    only ids before this one (for the next page), or null
--
-- Returns id, state, queue, function, args, priority, run_at, attempt, max_attempts, unique_key, blocked_by, created_at,
-- started_at, finished_at, cancel_requested_at (times as epoch seconds, float8), worker (name), error (its last message).
-- Age counts from finished_at, else from created_at.
--
-- Live tasks, history, and what is in history in vain are three walks down an id index that stop at the limit, and the
-- ones that the states rule out are not begun. Nothing is sorted but a page of each. A rare function in a long history
-- is searched for row by row.
select x.id, x.state, x.queue, x.function, x.args, x.priority, extract(epoch from x.run_at)::float8 as run_at,
  x.attempt, x.max_attempts, x.unique_key, x.blocked_by,
  extract(epoch from x.created_at)::float8 as created_at, extract(epoch from x.started_at)::float8 as started_at,
  extract(epoch from x.finished_at)::float8 as finished_at,
  extract(epoch from x.cancel_requested_at)::float8 as cancel_requested_at,
  (select w.name from hark.workers w where w.id = x.worker_id) as worker,
  x.errors -> -1 ->> 'message' as error
from (
  (select t.* from only hark.tasks t
    where ($1::text is null or t.queue = $1::text) and ($2::text is null or t.function = $2::text)
      and ($3::text[] is null or t.state = any ($3::text[]))
      and ($4::float8 is null or t.created_at < now() - make_interval(secs => $4::float8))
      and t.id < coalesce($6::int8, 9223372036854775807)
      and ($3::text[] is null or $3::text[] && '{scheduled,blocked,ready,running}')
    order by t.id desc limit $5::int4)
  union all
  (select t.* from hark.tasks_finished t
    where ($1::text is null or t.queue = $1::text) and ($2::text is null or t.function = $2::text)
      and ($3::text[] is null or t.state = any ($3::text[]))
      and ($4::float8 is null or t.finished_at < now() - make_interval(secs => $4::float8))
      and t.id < coalesce($6::int8, 9223372036854775807)
      and ($3::text[] is null or 'completed' = any ($3::text[]))
    order by t.id desc limit $5::int4)
  union all
  (select t.* from hark.tasks_finished t
    where ($1::text is null or t.queue = $1::text) and ($2::text is null or t.function = $2::text)
      and t.state in ('failed', 'cancelled') and t.state = any ($3::text[])
      and ($4::float8 is null or t.finished_at < now() - make_interval(secs => $4::float8))
      and t.id < coalesce($6::int8, 9223372036854775807)
      and $3::text[] && '{failed,cancelled}' and not 'completed' = any ($3::text[])
    order by t.id desc limit $5::int4)
) x
order by x.id desc limit $5::int4
