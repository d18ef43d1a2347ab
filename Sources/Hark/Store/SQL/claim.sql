-- Claims ready tasks for one attempt each. Called by the worker's turn, in the round trip that writes outcomes.
--
-- $1 text[]   queues, in the order in which to look
-- $2 int4[]   room in each queue: how many tasks to take at most
-- $3 int4[]   first lane of each queue: 1-based index into $5 and $6
-- $4 int4[]   last lane of each queue, inclusive; a queue without lanes has last < first
-- $5 int2[]   lanes: priorities, ascending within a queue
-- $6 int8[]   lanes: marks, the position below which not to look (0: a full look)
-- $7 int4     worker_id
-- $8 int8     token, drawn anew for each call
-- $9 jsonb    by function {"name": {"max_attempts": 5, "timeout": 30.0}}, timeout in seconds; absent = not configured
-- $10 jsonb   by queue, the same shape; both null when there is nothing to say, which saves a microsecond for each task
--
-- Returns the claimed tasks in no particular order: sort by queue, priority, position before use.
--
-- One descent of tasks_ready for each lane, straight to its mark, so that dead index entries before it cost nothing even
-- while somebody holds an old snapshot. Rows are locked only as far as there is room, and found again by ctid: neither a
-- join nor a sort depends on statistics. Nothing is claimed for a worker whose row is gone (it was given up for dead).
update only hark.tasks t
set state = 'running',
    worker_id = $7::int4,
    token = $8::int8,
    attempt = t.attempt + 1,
    started_at = now(),
    max_attempts = coalesce(t.max_attempts, ($9::jsonb -> t.function ->> 'max_attempts')::int2,
                            ($10::jsonb -> t.queue ->> 'max_attempts')::int2, 10),
    timeout = coalesce(t.timeout, make_interval(secs => ($9::jsonb -> t.function ->> 'timeout')::float8),
                       make_interval(secs => ($10::jsonb -> t.queue ->> 'timeout')::float8))
where t.ctid = any (array(
  select found.ctid
  from unnest($1::text[], $2::int4[], $3::int4[], $4::int4[]) q (queue, room, first_lane, last_lane),
    lateral (
      select task.ctid
      from unnest(($5::int2[])[q.first_lane:q.last_lane], ($6::int8[])[q.first_lane:q.last_lane]) lane (priority, mark),
        lateral (
          select r.ctid from only hark.tasks r
          where r.state = 'ready' and r.queue = q.queue and r.priority = lane.priority and r.position >= lane.mark
          order by r.position
          limit q.room
          for update skip locked
        ) task
      limit q.room
    ) found
  ))
  and exists (select from hark.workers w where w.id = $7::int4)
returning t.id, t.queue, t.priority, t.position, t.function, t.args, t.attempt, t.max_attempts,
  extract(epoch from t.timeout)::float8 as timeout
