-- Takes up a worker's place again after its signal connection was lost. Called in the new session.
--
-- $1 int4    worker's id
-- $2 text[]  queues, $3 int4 slots: its configuration may have changed meanwhile
--
-- Returns one row. alive: its row is still there (else it was given up for dead; register anew), and counts as a beat.
-- locked: this session holds its lock. If not, the server has not yet noticed the end of the old session; try again. A
-- session lock counts how often it was taken, so it is not taken when this session has it already.
with me as (
  update hark.workers set beat_at = now(), queues = $2::text[], slots = $3::int4 where id = $1::int4 returning id
)
select me.id is not null as alive,
  case
    when me.id is null then false
    when exists (
      select from pg_locks l
      where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.mode = 'ExclusiveLock'
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.classid::int8 = hark.worker_class() and l.objid::int8 = $1::int4 and l.objsubid = 2
    ) then true
    else pg_try_advisory_lock(hark.worker_class(), $1::int4)
  end as locked
from (select) here left join me on true
