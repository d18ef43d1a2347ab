-- Claims ready tasks of one lane: what claim.sql does, for the usual case, without arrays, policies and the look at hark.workers. A
-- sleeper that was rung for one task waits for this (Documentation/Performance.md).
--
-- $1 text    queue
-- $2 int2    priority
-- $3 int8    mark, the position below which not to look
-- $4 int4    room: how many tasks to take at most
-- $5 int4    worker_id
-- $6 int8    token, drawn anew for each call
-- $7 float8  until when the worker's row is there for sure, in seconds since 1970 (beat.sql says it): after that nothing is
--            claimed, and claim.sql must look
--
-- Returns the same columns as claim.sql. No policies: a task has the attempts and the timeout of its row, or the default.
update only hark.tasks t
set state = 'running',
    worker_id = $5::int4,
    token = $6::int8,
    attempt = t.attempt + 1,
    started_at = now(),
    max_attempts = coalesce(t.max_attempts, 10)
where t.ctid = any (array(
    select r.ctid from only hark.tasks r
    where r.state = 'ready' and r.queue = $1::text and r.priority = $2::int2 and r.position >= $3::int8
    order by r.position
    limit $4::int4
    for update skip locked
  ))
  and now() < to_timestamp($7::float8)
returning t.id, t.queue, t.priority, t.position, t.function, t.args, t.attempt, t.max_attempts,
  extract(epoch from t.timeout)::float8 as timeout
