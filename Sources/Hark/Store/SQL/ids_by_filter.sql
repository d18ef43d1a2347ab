-- The ids of the tasks that a bulk retry, cancel or delete is about, oldest first. For the command line.
--
-- $1 text    queue, or null for all           $4 float8  only those older than so many seconds, or null
-- $2 text    function, or null                $5 int4    how many at most
-- $3 text[]  states, or null                  $6 int8    only ids after this one (for the next batch), or null
--
-- Returns id. Age and plan are those of list.sql.
select x.id
from (
  (select t.id from only hark.tasks t
    where ($1::text is null or t.queue = $1::text) and ($2::text is null or t.function = $2::text)
      and ($3::text[] is null or t.state = any ($3::text[]))
      and ($4::float8 is null or t.created_at < now() - make_interval(secs => $4::float8))
      and t.id > coalesce($6::int8, 0)
      and ($3::text[] is null or $3::text[] && '{scheduled,blocked,ready,running}')
    order by t.id limit $5::int4)
  union all
  (select t.id from hark.tasks_finished t
    where ($1::text is null or t.queue = $1::text) and ($2::text is null or t.function = $2::text)
      and ($3::text[] is null or t.state = any ($3::text[]))
      and ($4::float8 is null or t.finished_at < now() - make_interval(secs => $4::float8))
      and t.id > coalesce($6::int8, 0)
      and ($3::text[] is null or 'completed' = any ($3::text[]))
    order by t.id limit $5::int4)
  union all
  (select t.id from hark.tasks_finished t
    where ($1::text is null or t.queue = $1::text) and ($2::text is null or t.function = $2::text)
      and t.state in ('failed', 'cancelled') and t.state = any ($3::text[])
      and ($4::float8 is null or t.finished_at < now() - make_interval(secs => $4::float8))
      and t.id > coalesce($6::int8, 0)
      and $3::text[] && '{failed,cancelled}' and not 'completed' = any ($3::text[])
    order by t.id limit $5::int4)
) x
order by x.id limit $5::int4
