-- Roles for Hark. Optional, not a migration, may be run again at any time: psql -f migrations/grants.sql
--
--   hark_owner     owns the schema, if it was made before the migrations, and they were applied in its name
--                  (Documentation/Operating.md, "Who owns the schema?"); else it may only see that the schema is there
--   hark_worker    runs workers
--   hark_enqueuer  inserts tasks, and can read nothing but id and unique_key (for RETURNING id and ON CONFLICT)
--   hark_viewer    reads everything
--
-- Roles are NOLOGIN; grant them to your own: grant hark_enqueuer to webapp;

do $$
declare
  role text;
begin
  foreach role in array array['hark_owner', 'hark_worker', 'hark_enqueuer', 'hark_viewer'] loop
    if not exists (select from pg_roles where rolname = role) then
      execute format('create role %I nologin', role);
    end if;
  end loop;
end $$;

grant usage on schema hark to hark_owner, hark_worker, hark_enqueuer, hark_viewer;

grant select, insert, update, delete on hark.tasks, hark.tasks_finished, hark.workers to hark_worker;
grant select on hark.migrations to hark_worker;

grant insert (queue, function, args, priority, run_at, max_attempts, timeout, unique_key) on hark.tasks to hark_enqueuer;
grant select (id, unique_key) on hark.tasks to hark_enqueuer;

grant select on hark.tasks, hark.tasks_finished, hark.workers, hark.migrations to hark_viewer;
