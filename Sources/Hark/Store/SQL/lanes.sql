-- Which lanes exist: the (queue, priority) pairs that have ready tasks. Called with each full look, so that the claim
-- need not try 21 priorities in every queue.
--
-- $1 text[]  queues
--
-- Returns queue and priority, priorities ascending within a queue. A skip scan of tasks_ready: one descent for each lane
-- and one more for each queue, however many tasks there are.
with recursive lane (queue, priority) as (
  select q.queue, first.priority
  from unnest($1::text[]) q (queue),
    lateral (
      select r.priority from only hark.tasks r
      where r.state = 'ready' and r.queue = q.queue
      order by r.priority, r.position limit 1
    ) first
  union all
  select lane.queue, next.priority
  from lane,
    lateral (
      select r.priority from only hark.tasks r
      where r.state = 'ready' and r.queue = lane.queue and r.priority > lane.priority
      order by r.priority, r.position limit 1
    ) next
)
select lane.queue, lane.priority from lane
order by lane.queue, lane.priority
