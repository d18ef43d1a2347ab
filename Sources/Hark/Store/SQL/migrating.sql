-- Who holds the lock that migrations are applied under? Called when `hark migrate` has waited for it in vain for a while.
--
-- $1 int8  the lock
--
-- Returns pid and application (text; null when this role may not see it). No row when it has just been given back.
select l.pid, nullif(a.application_name, '') as application
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and l.classid::int8 = $1::int8 >> 32 and l.objid::int8 = $1::int8 & 4294967295
order by l.pid
limit 1
