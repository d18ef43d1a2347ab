-- Fails tasks that have waited too long for a worker that has their function. Called once a minute or so, not at each
-- poll: it reads every blocked task of the queues.
--
-- $1 text[]  queues
-- $2 float8  grace in seconds, counted from run_at
--
-- Returns the ids of the failed, at most 1,000 for each queue in one call. The rows are taken through tasks_blocked,
-- skipping those that others have locked; carry_to_finished moves them to history.
update only hark.tasks t
set state = 'failed', finished_at = now(), blocked_by = null,
    errors = hark.add_error(t.errors, '{"kind": "error", "message": "no worker runs this function"}', t.attempt, null)
where t.ctid = any (array(
  select late.ctid
  from unnest($1::text[]) q (queue),
    lateral (
      select r.ctid from only hark.tasks r
      where r.state = 'blocked' and r.queue = q.queue and r.blocked_by = 'function'
        and r.run_at < now() - make_interval(secs => $2::float8)
      limit 1000
      for update skip locked
    ) late
))
returning t.id
