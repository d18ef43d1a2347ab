-- The least that a durable task queue needs: one table of what waits and runs, one of what is finished. For floor.c.
create schema floor;

create table floor.task (
  id bigint generated always as identity primary key,
  pos bigint generated always as identity,
  queue text not null default 'default',
  name text not null,
  args jsonb not null default '{}',
  priority smallint not null default 0,
  state "char" not null default 'r',
  attempt smallint not null default 0,
  worker int,
  run_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  started_at timestamptz, finished_at timestamptz, result jsonb, error text);
create index task_ready on floor.task (queue, priority, pos) where state = 'r';

create table floor.history (
  id bigint primary key, queue text, name text, args jsonb, priority smallint, attempt smallint,
  run_at timestamptz, created_at timestamptz, started_at timestamptz, finished_at timestamptz, result jsonb);

-- The least that a wake-up needs: a notification, if somebody sleeps.
create function floor.ring() returns trigger language plpgsql as $$
begin
  if pg_try_advisory_lock(77, 0) and pg_advisory_unlock(77, 0) then
    perform pg_advisory_xact_lock_shared(78, 0);
    if pg_try_advisory_lock(77, 0) and pg_advisory_unlock(77, 0) then return null; end if;
  end if;
  perform pg_notify('floor', NEW.queue);
  return null;
end $$;
