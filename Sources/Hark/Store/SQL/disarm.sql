-- Disarms the bell: gives back every SLEEP lock that this session holds, whether arm.sql went well or failed half-way.
-- Called on the signal connection when a worker wakes up.
--
-- Returns a row for each bucket given back.
select l.objid::int4 as bucket, pg_advisory_unlock_shared(hark.sleep_class(), l.objid::int4) as released
from pg_locks l
where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.mode = 'ShareLock'
  and l.classid::int8 = hark.sleep_class() and l.objsubid = 2
