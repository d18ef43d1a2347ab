-- What doctor asks about the server and this session. One row.
--
-- Returns version (text), pid (int4: of the server process that answers; behind a pooler not the one that was connected to),
-- in_recovery (bool), now (float8, epoch seconds), role and database (text),
-- and what the role may do: may_read, may_enqueue, may_work (bool).
select current_setting('server_version') as version, pg_backend_pid() as pid, pg_is_in_recovery() as in_recovery,
  extract(epoch from clock_timestamp())::float8 as now, current_user::text as role, current_database()::text as database,
  has_table_privilege('hark.tasks', 'select') as may_read,
  has_any_column_privilege('hark.tasks', 'insert') as may_enqueue,
  has_table_privilege('hark.tasks', 'update') and has_table_privilege('hark.tasks', 'delete')
    and has_table_privilege('hark.workers', 'insert') as may_work
