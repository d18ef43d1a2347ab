-- Takes back tasks that were set aside because no worker had their function. Called when a worker that has it starts,
-- and at each poll.
--
-- $1 text[]  queues
-- $2 text[]  functions this worker has
--
-- Returns one row, unblocked: how many. At most 1,000 for each queue and function in one call; call again while it is not
-- 0. One descent of tasks_blocked for each pair; rows that others have locked are skipped.
with unblocked as (
  update only hark.tasks t
  set state = 'ready', blocked_by = null, position = default
  where t.ctid = any (array(
    select set_aside.ctid
    from unnest($1::text[]) q (queue), unnest($2::text[]) f (function),
      lateral (
        select r.ctid from only hark.tasks r
        where r.state = 'blocked' and r.queue = q.queue and r.function = f.function and r.blocked_by = 'function'
        limit 1000
        for update skip locked
      ) set_aside
  ))
  returning 1
)
select count(*)::int4 as unblocked from unblocked
