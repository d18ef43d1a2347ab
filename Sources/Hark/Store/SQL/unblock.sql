-- Takes back tasks that were set aside because no worker had their function. Called when a worker that has it starts,
-- and at each poll.
--
-- $1 text[]  queues
-- $2 text[]  functions this worker has
-- $3 text[]  modules whose functions it has
--
-- Returns one row, unblocked: how many. At most 1,000 for each queue and function in one call; call again while it is not
-- 0. A skip scan of tasks_blocked finds which functions have blocked tasks (when nothing is blocked: one descent for each
-- queue); rows that others have locked are skipped.
with recursive lacking (queue, function) as (
  select q.queue, first.function
  from unnest($1::text[]) q (queue),
    lateral (
      select r.function from only hark.tasks r
      where r.state = 'blocked' and r.queue = q.queue
      order by r.function limit 1
    ) first
  union all
  select lacking.queue, next.function
  from lacking,
    lateral (
      select r.function from only hark.tasks r
      where r.state = 'blocked' and r.queue = lacking.queue and r.function > lacking.function
      order by r.function limit 1
    ) next
),
unblocked as (
  update only hark.tasks t
  set state = 'ready', blocked_by = null, position = default
  where t.ctid = any (array(
    select set_aside.ctid
    from lacking l,
      lateral (
        select r.ctid from only hark.tasks r
        where r.state = 'blocked' and r.queue = l.queue and r.function = l.function and r.blocked_by = 'function'
        limit 1000
        for update skip locked
      ) set_aside
    where l.function = any ($2::text[]) or exists (select from unnest($3::text[]) module where starts_with(l.function, module || '.'))
  ))
  returning 1
)
select count(*)::int4 as unblocked from unblocked
