-- Takes a worker's row away when it ends. Called in the session that holds its lock, after its tasks were released.
--
-- $1 int4  id
--
-- Returns the id, or no row if it is gone already, or if tasks still run in its name: then the row must stay, so that
-- others find them (the lock goes with the session).
delete from hark.workers w
where w.id = $1::int4
  and not exists (select from only hark.tasks t where t.state = 'running' and t.worker_id = $1::int4)
returning w.id
