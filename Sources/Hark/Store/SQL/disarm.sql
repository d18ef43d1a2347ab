-- Disarms the bell: gives back every lock of a sleeper or a guard that this session holds, whether arm.sql went well or failed
-- half-way. Called on the signal connection when a worker wakes up.
--
-- $1 int4  worker's id
-- $2 bool  it is awake with room, and guards its queues from now on
--
-- Returns one row, released: how many.
with released as materialized (
  select case l.mode
      when 'ShareLock' then pg_advisory_unlock_shared(l.classid::int8::int4, l.objid::int8::int4)
      else pg_advisory_unlock(l.classid::int8::int4, l.objid::int8::int4) end as done
  from pg_locks l
  where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.objsubid = 2
    and (l.mode = 'ShareLock' and l.classid::int8 = hark.sleep_class()
      or l.mode = 'ExclusiveLock' and l.classid::int8 in (hark.sleeper_class(), hark.guard_class(), hark.reserve_class()))
)
select count(done)::int4 as released, case when count(done) >= 0 and $2::bool then pg_advisory_lock(hark.guard_class(), $1::int4)::text end as guards
from released
