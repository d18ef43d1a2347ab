-- Makes scheduled tasks ready that are due, each with a new place in line, those due first in front. Called when the
-- timer for the next due task goes off, and at each poll.
--
-- $1 text[]  queues
-- $2 int4    how many at most from each queue
--
-- Returns one row, promoted: how many. If it is as many as asked for, call again. Tasks that others are promoting are
-- skipped. One descent of tasks_scheduled for each queue; the join on ctid is a nested loop of Tid Scans and keeps the
-- order in which positions are given.
with promoted as (
  update only hark.tasks t
  set state = 'ready', position = default
  from (
    select due.ctid
    from unnest($1::text[]) q (queue),
      lateral (
        select r.ctid from only hark.tasks r
        where r.state = 'scheduled' and r.queue = q.queue and r.run_at <= now()
        order by r.run_at limit $2::int4
        for update skip locked
      ) due
  ) d
  where t.ctid = d.ctid
  returning 1
)
select count(*)::int4 as promoted from promoted
