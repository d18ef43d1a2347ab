-- Disarms the bell: gives back every SLEEP and SLEEPER lock that this session holds, whether arm.sql went well or failed
-- half-way. Called on the signal connection when a worker wakes up.
--
-- Returns a row for each lock given back.
select case l.mode
    when 'ShareLock' then pg_advisory_unlock_shared(l.classid::int8::int4, l.objid::int8::int4)
    else pg_advisory_unlock(l.classid::int8::int4, l.objid::int8::int4) end as released
from pg_locks l
where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.objsubid = 2
  and (l.classid::int8 = hark.sleep_class() and l.mode = 'ShareLock' or l.classid::int8 = hark.sleeper_class() and l.mode = 'ExclusiveLock')
