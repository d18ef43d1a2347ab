-- Retention: deletes the oldest finished tasks in batches. Called by a worker when nothing is urgent, and again as long
-- as a batch comes back full.
--
-- $1 float8  age in seconds from which on a finished task goes
-- $2 int4    how many at most
--
-- Returns one row, pruned: how many. Walks tasks_finished_at from its old end and skips what others have locked.
with pruned as (
  delete from only hark.tasks_finished f
  where f.ctid = any (array(
    select old.ctid from only hark.tasks_finished old
    where old.finished_at < now() - make_interval(secs => $1::float8)
    order by old.finished_at limit $2::int4
    for update skip locked
  ))
  returning 1
)
select count(*)::int4 as pruned from pruned
