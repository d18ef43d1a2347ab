-- hark: breaking
--
-- One table to people, two to the server.
--
-- hark.tasks is itself the live table: what waits (scheduled, blocked, ready) and what runs. Finished tasks (completed,
-- failed, cancelled) lie in hark.tasks_finished, a child by inheritance, so `select * from hark.tasks where id = 42`
-- answers before, during and after, while the worker's statements say `only hark.tasks` and never meet history.
--
-- A row crosses between the two as DELETE + INSERT, never as a row movement between partitions: whoever waits for a row
-- that PostgreSQL moves gets error 40001, and with it a worker would lose a whole batch of outcomes. Inheritance also
-- keeps what partitions take away: an ordinary primary key, identity columns, ON CONFLICT on a partial unique index.
--
-- Text columns are collated "C": names and keys are compared bytewise, which is fast and outlives an upgrade of the
-- system's locale data without a reindex.
--
-- What a row must be like is said in hark.obey_rules, called by triggers, and not in CHECKs: PostgreSQL reads each CHECK anew for
-- each statement, and fourteen of them took a third of the server's time for an INSERT. Who breaks a rule gets the error of
-- a CHECK (23514), whose constraint name is the rule in words.

create schema hark;

create table hark.migrations (
  name        text primary key,
  compatible  boolean not null,  -- may workers of the version before go on working?
  checksum    text,              -- of the file as applied; null when it was applied with psql
  applied_at  timestamptz not null default now(),
  applied_by  text not null default current_user
);

create table hark.tasks (
  id                   bigint generated always as identity primary key,
  state                text collate "C" not null default 'ready',
  queue                text collate "C" not null default 'default',
  function             text collate "C" not null,
  args                 jsonb not null default '[]',
  priority             smallint not null default 0,
  run_at               timestamptz not null default now(),
  attempt              smallint not null default 0,
  max_attempts         smallint,
  timeout              interval,
  unique_key           text collate "C",
  blocked_by           text collate "C",
  position             bigint generated always as identity,
  created_at           timestamptz not null default now(),
  started_at           timestamptz,
  finished_at          timestamptz,
  worker_id            integer,
  token                bigint,
  cancel_requested_at  timestamptz,
  result               jsonb,
  errors               jsonb
)
with (
  -- Every task leaves two dead rows behind, so dead rows are many whatever the size of the backlog: vacuum by their
  -- number, not by a share of the table, and do not dawdle.
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
  autovacuum_vacuum_cost_delay = 0,
  -- Giving the empty end of the file back takes ACCESS EXCLUSIVE, which would stall inserts; the space is soon used again.
  vacuum_truncate = off, toast.vacuum_truncate = off
);

-- One partial index for each question that a worker asks; a row is in one of the first four at a time.
-- The claim orders by position, a column that no other index has, so that the planner cannot prefer the primary key.
create index tasks_ready on hark.tasks (queue, priority, position) where state = 'ready';
create index tasks_scheduled on hark.tasks (queue, run_at) where state = 'scheduled';
create index tasks_blocked on hark.tasks (queue, function) where state = 'blocked';
-- On id and not on worker_id: an index on worker_id would be taken for completions, which then scan everything that the
-- worker runs for each id. Rescue and listings are rare and few rows run at a time.
create index tasks_running on hark.tasks (id) where state = 'running';
-- At most one unfinished task for each key; a finished one has left the table and its key is free.
create unique index tasks_unique_key on hark.tasks (unique_key) where unique_key is not null;

create table hark.tasks_finished (primary key (id)) inherits (hark.tasks)
with (
  -- Rows are written once: freeze them at the first vacuum, which comes after so many inserts, and clean up behind the
  -- batched deletes of retention.
  autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_freeze_min_age = 0,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05
);
-- Retention goes by finished_at, so no row may lack it.
alter table hark.tasks_finished alter column finished_at set not null;
create index tasks_finished_at on hark.tasks_finished (finished_at);
-- What went wrong is rare, and is what people look for.
create index tasks_finished_in_vain on hark.tasks_finished (id) where state in ('failed', 'cancelled');

comment on table hark.tasks is 'Tasks: insert one and a worker runs it. Finished tasks lie in the child hark.tasks_finished and show here too.';
comment on column hark.tasks.state is 'scheduled, blocked, ready, running; completed, failed, cancelled';
comment on column hark.tasks.function is 'the name of what is run';
comment on column hark.tasks.args is 'arguments: a list or an object, at most 1 MiB';
comment on column hark.tasks.priority is '-10 to 10, lower first';
comment on column hark.tasks.run_at is 'not to be run before';
comment on column hark.tasks.attempt is 'how many times it was started, less the attempts given back';
comment on column hark.tasks.max_attempts is 'null: as the function, else the queue is configured, else 10; filled in at the claim';
comment on column hark.tasks.timeout is 'null: as the function, else the queue is configured, else none; filled in at the claim';
comment on column hark.tasks.unique_key is 'at most one unfinished task may have this key';
comment on column hark.tasks.blocked_by is 'what a blocked task waits for: function (no worker has it)';
comment on column hark.tasks.position is 'place in line within queue and priority; new whenever the task becomes ready again';
comment on column hark.tasks.token is 'drawn at random for each claim; (id, token) is the fence for its outcome';
comment on column hark.tasks.errors is 'one entry for each attempt that went wrong: at, attempt, worker, kind, message, detail; the last 50';
comment on table hark.tasks_finished is 'Finished tasks. Query hark.tasks, which includes them.';

-- The rules for every row of the live table; one reaches hark.tasks_finished only from there. The error names one broken rule. Null
-- breaks none: where it may not be, NOT NULL says so. Who calls this has pinned the search path, or whoever inserts could put
-- functions of his own in the place of those that judge his row; but the type of a variable is looked up at the first call of a
-- session, whoever makes that.
create function hark.obey_rules(task hark.tasks) returns void
language plpgsql as $$
declare
  broken pg_catalog.text := case
    when task.state not in ('ready', 'running', 'scheduled', 'blocked', 'completed', 'failed', 'cancelled') then 'state must be one of Hark''s seven states'
    when char_length(task.queue) not between 1 and 100 then 'queue must have 1 to 100 characters'
    when char_length(task.function) not between 1 and 100 then 'function must have 1 to 100 characters'
    when jsonb_typeof(task.args) not in ('array', 'object') then 'args must be a JSON list or object'
    when octet_length(task.args::pg_catalog.text) > 1048576 then 'args must take at most 1 MiB'
    when task.priority not between -10 and 10 then 'priority must be between -10 and 10'
    when not isfinite(task.run_at) then 'run_at must be a finite time'
    when task.attempt < 0 then 'attempt must not be negative'
    when task.max_attempts not between 1 and 1000 then 'max_attempts must be between 1 and 1000'
    when task.timeout <= '0' or task.timeout > '1 year' then 'timeout must be longer than zero and at most a year'
    when char_length(task.unique_key) not between 1 and 500 then 'unique_key must have 1 to 500 characters'
    when (task.state = 'blocked') <> (task.blocked_by is not null) then 'blocked_by is set exactly while a task is blocked'
    when task.state = 'running' and (task.worker_id is null or task.token is null) then 'a running task has a worker_id and a token'
    when (task.state in ('completed', 'failed', 'cancelled')) <> (task.finished_at is not null) then 'finished_at is set exactly when a task is finished'
  end;
begin
  if broken is not null then
    raise exception 'new row for relation "tasks" violates check constraint "%"', broken
      using errcode = 'check_violation', schema = 'hark', table = 'tasks', constraint = broken;
  end if;
end $$;

-- What an insert leaves open is filled in: ORMs send NULL for "not set", and a task of the future waits as scheduled.
create function hark.admit_unusual_task(task hark.tasks) returns hark.tasks
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  task.queue := coalesce(task.queue, 'default');
  task.args := coalesce(task.args, '[]');
  task.priority := coalesce(task.priority, 0);
  task.run_at := coalesce(task.run_at, now());
  if task.state = 'ready' and task.run_at > now() then
    task.state := 'scheduled';
  end if;
  perform hark.obey_rules(task);
  return task;
end $$;

-- The usual task, for which a few of the rules are enough: PL/pgSQL looks up each function that an expression names for
-- each transaction. No state but ready, nothing that is null breaks a rule. This function's search path is not pinned, which would
-- cost as much again. As long as the path does not name pg_catalog, that comes first, and nobody's operators before it; but types of
-- pg_temp do, so the one that is named here says where it is.
create function hark.admit_task() returns trigger
language plpgsql as $$
begin
  if pg_catalog.strpos(pg_catalog.lower(pg_catalog.current_setting('search_path')), 'pg_catalog') operator(pg_catalog.=) 0
    and NEW.state = 'ready' and NEW.run_at = now() and NEW.priority = 0 and NEW.attempt = 0
    and NEW.max_attempts is null and NEW.timeout is null and NEW.unique_key is null and NEW.blocked_by is null and NEW.finished_at is null
    and char_length(NEW.queue) between 1 and 100 and char_length(NEW.function) between 1 and 100
    and jsonb_typeof(NEW.args) in ('array', 'object') and octet_length(NEW.args::pg_catalog.text) <= 1048576
  then
    return NEW;
  end if;
  return hark.admit_unusual_task(NEW);
end $$;

-- Named so that it fires after most triggers that others may add: it judges what they leave.
create trigger obey_rules_insert before insert on hark.tasks for each row execute function hark.admit_task();

-- Appends an entry {kind, message, detail} to a task's errors, with the time, the attempt and the worker's name; a null
-- entry appends nothing. The last 50 are kept.
create function hark.add_error(errors jsonb, error jsonb, attempt integer, worker text) returns jsonb
language sql stable parallel safe as $$
  select case when error is null then errors
    else case when jsonb_array_length(errors) >= 50 then errors - 0 else coalesce(errors, '[]') end
      || jsonb_build_array(error || jsonb_build_object('at', now(), 'attempt', attempt, 'worker', worker))
    end
$$;

insert into hark.migrations (name, compatible) values ('0001_create_tasks', false);
