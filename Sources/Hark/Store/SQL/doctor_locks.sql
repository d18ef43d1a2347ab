-- Who holds the doorbell's locks without being a worker, and who keeps inserts ringing? Called by doctor.
--
-- SLEEP, held exclusively, belongs to the signal session of a worker, which holds its WORKER lock too: any other session with it makes
-- every insert ring for nobody. Held shared, it belongs to transactions that are about to commit: who holds it for more than a second
-- keeps workers from sleeping. That is a transaction (one that runs or is prepared), or a session that took it for itself.
--
-- Returns mode (exclusive, shared), pid (0: a prepared transaction), prepared (its name), locks (int4), application (text),
-- state (text), age (float8, seconds since its transaction or its session began). No rows when all is well.
select case l.mode when 'ExclusiveLock' then 'exclusive' else 'shared' end as mode, coalesce(l.pid, 0) as pid, p.gid as prepared,
  count(*)::int4 as locks, max(a.application_name) as application, max(a.state) as state,
  extract(epoch from clock_timestamp() - coalesce(min(p.prepared), min(a.xact_start), min(a.backend_start)))::float8 as age
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
-- A prepared transaction has no process, and holds the lock of its own number.
left join pg_locks x on l.pid is null and x.pid is null and x.locktype = 'transactionid' and x.granted and x.virtualtransaction = l.virtualtransaction
left join pg_prepared_xacts p on p.transaction = x.transactionid
where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.classid = hark.sleep_class()::oid
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and l.pid is distinct from pg_backend_pid()
  and (l.mode <> 'ExclusiveLock' and coalesce(p.prepared, a.xact_start, a.state_change) < clock_timestamp() - interval '1 second'
    or l.mode = 'ExclusiveLock' and not exists (
      select from pg_locks w
      where w.locktype = 'advisory' and w.objsubid = 2 and w.granted and w.pid = l.pid and w.database = l.database
        and w.classid = hark.worker_class()::oid))
group by 1, 2, 3
order by 1, 2, 3
