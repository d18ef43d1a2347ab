--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: hark; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA hark;


--
-- Name: add_error(jsonb, jsonb, integer, text); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.add_error(errors jsonb, error jsonb, attempt integer, worker text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
  select case when error is null then errors
    else case when jsonb_array_length(errors) >= 50 then errors - 0 else coalesce(errors, '[]') end
      || jsonb_build_array(error || jsonb_build_object('at', now(), 'attempt', attempt, 'worker', worker))
    end
$$;


--
-- Name: admit_task(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.admit_task() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: tasks; Type: TABLE; Schema: hark; Owner: -
--

CREATE TABLE hark.tasks (
    id bigint NOT NULL,
    state text DEFAULT 'ready'::text NOT NULL COLLATE pg_catalog."C",
    queue text DEFAULT 'default'::text NOT NULL COLLATE pg_catalog."C",
    function text NOT NULL COLLATE pg_catalog."C",
    args jsonb DEFAULT '[]'::jsonb NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    run_at timestamp with time zone DEFAULT now() NOT NULL,
    attempt smallint DEFAULT 0 NOT NULL,
    max_attempts smallint,
    timeout interval,
    unique_key text COLLATE pg_catalog."C",
    blocked_by text COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    worker_id integer,
    token bigint,
    cancel_requested_at timestamp with time zone,
    result jsonb,
    errors jsonb
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='100000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off, toast.vacuum_truncate=off);


--
-- Name: TABLE tasks; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON TABLE hark.tasks IS 'Tasks: insert one and a worker runs it. Finished tasks lie in the child hark.tasks_finished and show here too.';


--
-- Name: COLUMN tasks.state; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.state IS 'scheduled, blocked, ready, running; completed, failed, cancelled';


--
-- Name: COLUMN tasks.function; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.function IS 'the name of what is run';


--
-- Name: COLUMN tasks.args; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.args IS 'arguments: a list or an object, at most 1 MiB';


--
-- Name: COLUMN tasks.priority; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.priority IS '-10 to 10, lower first';


--
-- Name: COLUMN tasks.run_at; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.run_at IS 'not to be run before';


--
-- Name: COLUMN tasks.attempt; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.attempt IS 'how many times it was started, less the attempts given back';


--
-- Name: COLUMN tasks.max_attempts; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.max_attempts IS 'null: as the function, else the queue is configured, else 10; filled in at the claim';


--
-- Name: COLUMN tasks.timeout; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.timeout IS 'null: as the function, else the queue is configured, else none; filled in at the claim';


--
-- Name: COLUMN tasks.unique_key; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.unique_key IS 'at most one unfinished task may have this key';


--
-- Name: COLUMN tasks.blocked_by; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.blocked_by IS 'what a blocked task waits for: function (no worker has it)';


--
-- Name: COLUMN tasks."position"; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks."position" IS 'place in line within queue and priority; new whenever the task becomes ready again';


--
-- Name: COLUMN tasks.token; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.token IS 'drawn at random for each claim; (id, token) is the fence for its outcome';


--
-- Name: COLUMN tasks.errors; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON COLUMN hark.tasks.errors IS 'one entry for each attempt that went wrong: at, attempt, worker, kind, message, detail; the last 50';


--
-- Name: admit_unusual_task(hark.tasks); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.admit_unusual_task(task hark.tasks) RETURNS hark.tasks
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: are_answered(integer[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.are_answered(buckets integer[]) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select not exists (
    select from unnest(buckets) b (bucket)
    where not exists (
      select from hark.sleepers(b.bucket) sleeper
      join pg_locks alive on alive.pid = sleeper.pid and alive.database = (select d.oid from pg_database d where d.datname = current_database())
      join hark.workers w on w.id = alive.objid::int8
      where alive.locktype = 'advisory' and alive.objsubid = 2 and alive.granted and alive.classid = hark.worker_class()::oid
        and hark.is_heard(w)))
$$;


--
-- Name: arm(integer, text[], boolean, boolean); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.arm(worker integer, queues text[], whole boolean, guards boolean, OUT is_reserve boolean, OUT stands_by boolean, OUT blocked integer[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  bucket integer;
  answer text;
begin
  is_reserve := false;
  stands_by := false;
  blocked := '{}';
  if whole then
    perform pg_advisory_lock(hark.reserve_class(), worker);
  end if;
  if guards then
    perform pg_advisory_unlock(hark.guard_class(), worker);
  end if;
  if whole and hark.is_guarded(worker, queues) then
    is_reserve := true;
    -- It may have been called to take SLEEP.
    perform hark.call_standby(worker, hark.buckets(queues));
    return;
  end if;
  foreach bucket in array hark.buckets(queues) loop
    execute 'listen hark_bell_' || bucket;
    perform pg_advisory_lock(hark.sleeper_class(), hark.sleeper(worker, bucket));
    answer := hark.try_sleep(bucket);
    if answer = 'taken' then
      perform pg_advisory_lock_shared(hark.standby_class(), bucket);
      answer := hark.try_sleep(bucket);
      if answer <> 'taken' then
        perform pg_advisory_unlock_shared(hark.standby_class(), bucket);
      else
        stands_by := true;
        if hark.are_answered(array[bucket]) then
          execute 'unlisten hark_bell_' || bucket;
        end if;
      end if;
    end if;
    if answer = 'blocked' then
      blocked := blocked || bucket;
    end if;
  end loop;
  if whole then
    -- Nobody shall rely on one that relies on others.
    if not stands_by then
      perform pg_advisory_lock(hark.guard_class(), worker);
    end if;
    perform pg_advisory_unlock(hark.reserve_class(), worker);
  end if;
end $$;


--
-- Name: await_sleep(integer[], interval); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.await_sleep(buckets integer[], patience interval) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  bucket integer;
  deadline timestamptz := clock_timestamp() + patience;
begin
  foreach bucket in array buckets loop
    -- From an earlier wait.
    continue when exists (select from hark.sleepers(bucket) s where s.pid = pg_backend_pid());
    begin
      perform set_config('lock_timeout', greatest(1, round(extract(epoch from deadline - clock_timestamp()) * 1000))::text, true);
      perform pg_advisory_lock(hark.sleep_class(), bucket);
    exception when lock_not_available then
      -- It may have been granted in the moment in which the timeout struck.
      if not exists (select from hark.sleepers(bucket) s where s.pid = pg_backend_pid()) then
        return case when exists (select from hark.sleepers(bucket)) then 'taken' else 'blocked' end;
      end if;
    end;
  end loop;
  return 'had';
end $$;


--
-- Name: bell(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.bell() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if hark.may_be_silent(NEW.queue) then
    return NEW;
  end if;
  if (NEW.state = 'ready' or NEW.state = 'scheduled' and NEW.run_at < now() + interval '1 minute')
    and current_setting('hark.bell', true) is distinct from 'off'
  then
    perform pg_notify('hark_bell_' || hark.bucket(NEW.queue), NEW.queue);
  end if;
  return NEW;
end $$;


--
-- Name: bell_of_change(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.bell_of_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if (NEW.state = 'ready' and (OLD.state <> 'ready' or NEW.queue <> OLD.queue or NEW.priority <> OLD.priority)
      or NEW.state = 'scheduled' and NEW.run_at < now() + interval '1 minute'
        and (OLD.state <> 'scheduled' or NEW.run_at < OLD.run_at or NEW.queue <> OLD.queue))
    and current_setting('hark.bell', true) is distinct from 'off'
    and not hark.may_be_silent(NEW.queue)
  then
    perform pg_notify('hark_bell_' || hark.bucket(NEW.queue), NEW.queue);
  end if;
  return null;
end $$;


--
-- Name: bucket(text); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.bucket(queue text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select hashtext(queue) & 255$$;


--
-- Name: buckets(text[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.buckets(queues text[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select coalesce(array_agg(distinct hark.bucket(q)), '{}') from unnest(queues) q$$;


--
-- Name: call_standby(integer, integer[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.call_standby(worker integer, buckets integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  vacant integer;
  heir record;
begin
  foreach vacant in array buckets loop
    if pg_try_advisory_lock(hark.standby_class(), vacant) then
      perform pg_advisory_unlock(hark.standby_class(), vacant);
    elsif not exists (select from hark.sleepers(vacant)) then
      for heir in
        select distinct on (q) w.id, q from hark.workers w, unnest(w.queues) q
        where w.id <> worker and hark.bucket(q) = vacant and hark.is_heard(w) and hark.is_asleep(w.id, vacant)
        order by q, hashint8extended(w.id, txid_current())
      loop
        perform pg_notify('hark_worker_' || heir.id, 'bell ' || heir.q);
      end loop;
    end if;
  end loop;
end $$;


--
-- Name: cancel(bigint[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.cancel(ids bigint[]) RETURNS TABLE(id bigint, result text, note text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  task record;
  caller constant text := coalesce(current_setting('hark.worker', true), '');
begin
  perform set_config('hark.worker', 'off', true);  -- this is a change by hand, even when a worker's session makes it
  for id in select distinct i from unnest(ids) i where i is not null order by i loop
    result := 'skipped';
    note := null;
    select * into task from hark.try_to_take(id);
    if task.why_not is not null then
      note := task.why_not;
    elsif task.state in ('completed', 'failed', 'cancelled') then
      note := 'already finished as ' || task.state;
    else
      update only hark.tasks t set state = 'cancelled' where t.id = cancel.id;
      result := case task.state when 'running' then 'requested' else 'cancelled' end;
    end if;
    return next;
  end loop;
  perform set_config('hark.worker', caller, true);
end $$;


--
-- Name: carry_to_finished(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.carry_to_finished() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from only hark.tasks where id = NEW.id;
  insert into hark.tasks_finished values (NEW.*);
  return null;
end $$;


--
-- Name: carry_to_live(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.carry_to_live() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from hark.tasks_finished where id = NEW.id;
  insert into hark.tasks (id, queue, function, args, priority, run_at, max_attempts, timeout, unique_key, created_at)
    overriding system value
    values (NEW.id, NEW.queue, NEW.function, NEW.args, NEW.priority, NEW.run_at, NEW.max_attempts, NEW.timeout, NEW.unique_key, NEW.created_at);
  return null;
end $$;


--
-- Name: disarm(integer, text[], boolean); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.disarm(worker integer, queues text[], guards boolean) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  held record;
  bucket integer;
  answered integer[] := '{}';
  left_to_others integer[] := '{}';
  released integer := 0;
begin
  for held in
    select l.classid::int8::integer as class, l.objid::int8::integer as key, l.mode = 'ShareLock' as is_shared
    from pg_locks l
    where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.objsubid = 2
      and l.classid::int8 in (hark.sleep_class(), hark.sleeper_class(), hark.standby_class(), hark.guard_class(), hark.reserve_class())
  loop
    if held.is_shared then
      perform pg_advisory_unlock_shared(held.class, held.key);
    else
      perform pg_advisory_unlock(held.class, held.key);
    end if;
    if held.class = hark.sleeper_class() then
      answered := answered || (held.key & 255);
    elsif held.class = hark.standby_class() then
      left_to_others := left_to_others || held.key;
    end if;
    released := released + 1;
  end loop;
  foreach bucket in array hark.buckets(queues) loop
    execute 'unlisten hark_bell_' || bucket;
  end loop;
  if guards then
    perform pg_advisory_lock(hark.guard_class(), worker);
  end if;
  perform hark.call_standby(
    worker, case when guards then array(select b from unnest(answered) b where b <> all (left_to_others)) else hark.buckets(queues) end);
  return released;
end $$;


--
-- Name: grace(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.grace() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select interval '5 seconds'$$;


--
-- Name: guard_change(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.guard_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  by_hand constant boolean := current_setting('hark.worker', true) is distinct from 'on';
begin
  if by_hand and NEW.state is not distinct from OLD.state then
    if NEW.state in ('scheduled', 'ready') and (NEW.run_at, NEW.queue, NEW.priority) is distinct from (OLD.run_at, OLD.queue, OLD.priority) then
      NEW.state := case when NEW.run_at > now() then 'scheduled' else 'ready' end;
    end if;

  elsif by_hand and OLD.state = 'running' then
    if NEW.state is distinct from 'cancelled' then
      raise exception 'task % is running: only its worker may make it %', OLD.id, coalesce(NEW.state, 'null')
        using errcode = 'object_not_in_prerequisite_state',
          hint = 'To stop it, set state = ''cancelled''; its worker then ends it and writes the outcome.';
    end if;
    NEW.state := 'running';
    NEW.finished_at := null;
    NEW.cancel_requested_at := coalesce(OLD.cancel_requested_at, now());
    perform pg_notify('hark_worker_' || OLD.worker_id, 'cancel ' || OLD.id);

  elsif by_hand and NEW.state = 'cancelled' then
    NEW.finished_at := now();
    NEW.blocked_by := null;
    NEW.errors := hark.add_error(OLD.errors,
      jsonb_build_object('kind', 'cancelled', 'message', format('cancelled by %s before it ran', session_user)), OLD.attempt::integer, null::text);

  elsif by_hand and NEW.state = 'ready' then
    NEW.run_at := now();
    NEW.blocked_by := null;

  elsif by_hand and NEW.state = 'scheduled' and NEW.run_at > now() then
    NEW.blocked_by := null;

  elsif by_hand and NEW.state = 'scheduled' then
    raise exception 'task % cannot be scheduled for %, which is not in the future', OLD.id, NEW.run_at
      using errcode = 'object_not_in_prerequisite_state', hint = 'Set run_at to a later time, or state = ''ready'' to run it now.';

  elsif by_hand then
    raise exception 'task % is %: it cannot be made % by hand', OLD.id, OLD.state, coalesce(NEW.state, 'null')
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'By hand a waiting task can be made ready (run now), scheduled (with a later run_at) or cancelled.';

  -- Whoever gives a running task back (retry, snooze, release, block, rescue) after its cancellation was asked for, finishes it: it
  -- is not run again.
  elsif OLD.state = 'running' and OLD.cancel_requested_at is not null and NEW.state in ('ready', 'scheduled', 'blocked') then
    NEW.state := 'cancelled';
    NEW.finished_at := now();
    NEW.run_at := OLD.run_at;
    NEW.blocked_by := null;
    NEW.attempt := OLD.attempt;
    NEW.started_at := OLD.started_at;
    NEW.worker_id := OLD.worker_id;
    NEW.token := OLD.token;
    NEW.errors := hark.add_error(NEW.errors, '{"kind": "cancelled", "message": "cancelled on request while it ran"}'::jsonb, OLD.attempt::integer, null::text);
  end if;

  if by_hand then
    -- A new place in line: workers remember how far they have looked in each lane, and would not look behind that.
    if NEW.state = 'ready' and (OLD.state <> 'ready' or NEW.queue <> OLD.queue or NEW.priority <> OLD.priority) then
      NEW.position := nextval('hark.tasks_position_seq');
    end if;
    perform hark.obey_rules(NEW);
  end if;
  return NEW;
end $$;


--
-- Name: guard_class(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.guard_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 1530942697$$;


--
-- Name: guard_delete(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.guard_delete() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception 'task % is running and cannot be deleted', OLD.id
    using errcode = 'object_not_in_prerequisite_state',
      hint = 'Set state = ''cancelled'' first; delete it when its worker has written the outcome.';
end $$;


--
-- Name: guard_revival(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.guard_revival() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if NEW.state = 'scheduled' and NEW.run_at > now() then
    return NEW;
  elsif NEW.state = 'ready' then
    NEW.run_at := greatest(NEW.run_at, now());
    return NEW;
  end if;
  raise exception 'task % has finished as %: it cannot be made % by hand', OLD.id, OLD.state, coalesce(NEW.state, 'null')
    using errcode = 'object_not_in_prerequisite_state',
      hint = 'Set state = ''ready'' to run it again, or state = ''scheduled'' with a later run_at.';
end $$;


--
-- Name: hand_over(integer, text[], boolean); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.hand_over(worker integer, queues text[], guards boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  heir record;
  left_over text[] := queues;
  common text;
begin
  if guards then
    perform pg_advisory_unlock(hark.guard_class(), worker);
  end if;
  perform hark.call_standby(worker, hark.buckets(queues));
  if hark.is_guarded(worker, queues) then
    return;
  end if;
  for heir in
    select w.id, w.queues from hark.workers w
    where w.id <> worker and (w.queues = hand_over.queues or w.queues && hand_over.queues) and hark.is_heard(w)
    order by w.queues @> hand_over.queues desc, hashint8extended(w.id, txid_current())
  loop
    select q into common from unnest(left_over) q where q = any (heir.queues) limit 1;
    if common is not null and hark.is_taken(hark.reserve_class(), heir.id) then
      perform pg_notify('hark_worker_' || heir.id, 'bell ' || common);
      left_over := array(select q from unnest(left_over) q where q <> all (heir.queues));
      exit when cardinality(left_over) = 0;
    end if;
  end loop;
end $$;


--
-- Name: is_asleep(integer, integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.is_asleep(worker integer, bucket integer) RETURNS boolean
    LANGUAGE sql
    AS $$select hark.is_taken(hark.sleeper_class(), hark.sleeper(worker, bucket))$$;


--
-- Name: is_guarded(integer, text[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.is_guarded(worker integer, queues text[]) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select exists (
    select from hark.workers w
    where w.id <> worker and (w.queues = is_guarded.queues or w.queues @> is_guarded.queues)
      and hark.is_heard(w) and hark.is_taken(hark.guard_class(), w.id))
$$;


--
-- Name: workers; Type: TABLE; Schema: hark; Owner: -
--

CREATE TABLE hark.workers (
    id integer NOT NULL,
    name text NOT NULL,
    state text DEFAULT 'starting'::text NOT NULL,
    listener text,
    queues text[] DEFAULT '{}'::text[] NOT NULL,
    slots integer DEFAULT 0 NOT NULL,
    running integer DEFAULT 0 NOT NULL,
    hostname text,
    pid integer,
    pid_start bigint,
    boot_id text,
    pid_namespace text,
    version text,
    incarnation text,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    beat_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT "state must be starting, working or draining" CHECK ((state = ANY (ARRAY['starting'::text, 'working'::text, 'draining'::text])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', vacuum_truncate=off);


--
-- Name: TABLE workers; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON TABLE hark.workers IS 'One row for each worker that lives. A dead one is removed by the others when its tasks are rescued.';


--
-- Name: is_heard(hark.workers); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.is_heard(w hark.workers) RETURNS boolean
    LANGUAGE sql
    AS $$select w.beat_at > clock_timestamp() - 2 * hark.grace()$$;


--
-- Name: is_taken(integer, integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.is_taken(class integer, key integer) RETURNS boolean
    LANGUAGE sql
    AS $$select case when pg_try_advisory_lock_shared(class, key) then not pg_advisory_unlock_shared(class, key) else true end$$;


--
-- Name: last_heard_of(hark.workers); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.last_heard_of(w hark.workers) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
  select greatest(w.beat_at, pg_postmaster_start_time())
$$;


--
-- Name: lost_after(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.lost_after() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select interval '30 seconds'$$;


--
-- Name: may_be_silent(text); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.may_be_silent(queue text) RETURNS boolean
    LANGUAGE sql
    AS $$select pg_try_advisory_xact_lock_shared(hark.sleep_class(), hark.bucket(queue))$$;


--
-- Name: obey_rules(hark.tasks); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.obey_rules(task hark.tasks) RETURNS void
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: rescue(integer[], boolean[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.rescue(worker_ids integer[], process_gone boolean[]) RETURNS TABLE(task_id bigint, lost_by integer, what text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  suspect record;
  w hark.workers;
  -- What follows is a worker's work, whoever calls: nothing is touched that was not seen to be dead.
  caller constant text := coalesce(current_setting('hark.worker', true), '');
begin
  perform set_config('hark.worker', 'on', true);
  for suspect in
    select u.id, coalesce(bool_or(u.gone), false) as gone from unnest(worker_ids, process_gone) u (id, gone)
    where u.id is not null group by u.id order by u.id
  loop
    -- The lock keeps a second rescuer away, and a beat that comes now waits and then finds out.
    select * into w from hark.workers r where r.id = suspect.id for update skip locked;
    if found then
      continue when not hark.worker_is_dead(w, suspect.gone);
    else
      continue when exists (select from hark.workers r where r.id = suspect.id);
      w := null;  -- no such worker any more: what it left are orphans
    end if;

    return query
      update only hark.tasks t
      set state = v.state,
          finished_at = case v.state when 'failed' then now() end,
          run_at = case v.state when 'scheduled' then now() + v.pause * random() else t.run_at end,
          position = default,
          worker_id = null, token = null, started_at = null,
          errors = hark.add_error(t.errors, jsonb_build_object('kind', 'lost', 'message', case
              when v.losses >= 4 then format('quarantined: its worker died %s times while it ran', v.losses)
              else format('worker %s died while it ran', coalesce(w.name, suspect.id::text)) end),
            t.attempt, w.name)
      from (
        select l.ctid, l.losses,
          case when l.cancel_requested_at is not null then 'ready'  -- which guard_change turns into cancelled
               when l.losses >= 4 or l.attempt >= l.max_attempts then 'failed'
               when l.losses = 1 then 'ready'
               else 'scheduled' end as state,
          case l.losses when 2 then interval '20 seconds' else interval '60 seconds' end as pause
        from (
          select r.ctid, r.attempt, r.max_attempts, r.cancel_requested_at, hark.times_lost(r.errors) + 1 as losses
          from only hark.tasks r where r.state = 'running' and r.worker_id = suspect.id for update skip locked
        ) l
      ) v
      where t.ctid = v.ctid
      returning t.id, suspect.id, t.state;

    delete from hark.workers r where r.id = suspect.id
      and not exists (select from only hark.tasks t where t.state = 'running' and t.worker_id = suspect.id);
  end loop;
  perform set_config('hark.worker', caller, true);
end $$;


--
-- Name: reserve_class(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.reserve_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 1648305129$$;


--
-- Name: retry(bigint[]); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.retry(ids bigint[]) RETURNS TABLE(id bigint, result text, note text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $$
declare
  task record;
  caller constant text := coalesce(current_setting('hark.worker', true), '');
begin
  perform set_config('hark.worker', 'off', true);  -- this is a change by hand, even when a worker's session makes it
  for id in select distinct i from unnest(ids) i where i is not null order by i loop
    result := 'skipped';
    note := null;
    select * into task from hark.try_to_take(id);
    if task.why_not is not null then
      note := task.why_not;
    elsif task.state = 'running' then
      note := 'running';
    elsif task.state = 'ready' then
      result := 'ready';
      note := 'was ready already';
    elsif task.unique_key is null or task.state in ('scheduled', 'blocked') then
      update hark.tasks t set state = 'ready' where t.id = retry.id;
      result := 'ready';
    else
      begin
        update hark.tasks t set state = 'ready' where t.id = retry.id;
        result := 'ready';
      exception
        when unique_violation then note := format('another unfinished task has its unique_key %L', task.unique_key);
        when lock_not_available then note := format('another transaction is using its unique_key %L', task.unique_key);
      end;
    end if;
    return next;
  end loop;
  perform set_config('hark.worker', caller, true);
end $$;


--
-- Name: ring(text, integer, integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.ring(queue text, workers integer, except_worker integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  worker integer;
  left_to_ring integer := workers;
begin
  for worker in
    select w.id from hark.workers w
    where w.id <> except_worker and ring.queue = any (w.queues) and hark.is_heard(w)
    order by hashint8extended(w.id, txid_current())
  loop
    if hark.is_asleep(worker, hark.bucket(ring.queue)) or hark.is_taken(hark.reserve_class(), worker) then
      perform pg_notify('hark_worker_' || worker, 'bell ' || ring.queue);
      left_to_ring := left_to_ring - 1;
      exit when left_to_ring = 0;
    end if;
  end loop;
end $$;


--
-- Name: sleep_class(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.sleep_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 1806433741$$;


--
-- Name: sleeper(integer, integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.sleeper(worker integer, bucket integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select (worker & 8388607) * 256 + bucket$$;


--
-- Name: sleeper_class(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.sleeper_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 1392071846$$;


--
-- Name: sleepers(integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.sleepers(bucket integer) RETURNS TABLE(pid integer)
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select l.pid from pg_locks l
  where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.mode = 'ExclusiveLock'
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.classid = hark.sleep_class()::oid and l.objid = sleepers.bucket::oid
$$;


--
-- Name: standby_class(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.standby_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 1120659847$$;


--
-- Name: times_lost(jsonb); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.times_lost(errors jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select count(*)::integer from jsonb_array_elements(errors) e where e ->> 'kind' = 'lost'
$$;


--
-- Name: try_sleep(integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.try_sleep(bucket integer) RETURNS text
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when pg_try_advisory_lock(hark.sleep_class(), bucket) then 'had'
    when exists (select from hark.sleepers(bucket)) then 'taken'
    else 'blocked'
  end
$$;


--
-- Name: try_to_take(bigint); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.try_to_take(task_id bigint, OUT state text, OUT unique_key text, OUT why_not text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  for look in 1..2 loop  -- twice, because a task may cross to the other table between two statements
    select t.state, t.unique_key into state, unique_key from hark.tasks t where t.id = task_id for update skip locked;
    if found then return; end if;
    if not exists (select from hark.tasks t where t.id = task_id) then
      why_not := 'not found';
      return;
    end if;
  end loop;
  why_not := 'locked by another transaction';
end $$;


--
-- Name: worker_class(); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.worker_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$select 1987214613$$;


--
-- Name: worker_is_dead(hark.workers, boolean); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.worker_is_dead(w hark.workers, process_gone boolean) RETURNS boolean
    LANGUAGE sql
    AS $$
  select case when hark.worker_lock_is_free(w.id)
    then coalesce(process_gone, false) or hark.last_heard_of(w) < now() - hark.grace()
    else hark.last_heard_of(w) < now() - hark.lost_after() end
$$;


--
-- Name: worker_lock_is_free(integer); Type: FUNCTION; Schema: hark; Owner: -
--

CREATE FUNCTION hark.worker_lock_is_free(worker_id integer) RETURNS boolean
    LANGUAGE sql
    AS $$select not hark.is_taken(hark.worker_class(), worker_id)$$;


--
-- Name: migrations; Type: TABLE; Schema: hark; Owner: -
--

CREATE TABLE hark.migrations (
    name text NOT NULL,
    compatible boolean NOT NULL,
    checksum text,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT CURRENT_USER NOT NULL
);


--
-- Name: tasks_finished; Type: TABLE; Schema: hark; Owner: -
--

CREATE TABLE hark.tasks_finished (
)
INHERITS (hark.tasks)
WITH (autovacuum_vacuum_insert_scale_factor='0.02', autovacuum_freeze_min_age='0', autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.05');
ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN finished_at SET NOT NULL;


--
-- Name: TABLE tasks_finished; Type: COMMENT; Schema: hark; Owner: -
--

COMMENT ON TABLE hark.tasks_finished IS 'Finished tasks. Query hark.tasks, which includes them.';


--
-- Name: tasks_id_seq; Type: SEQUENCE; Schema: hark; Owner: -
--

ALTER TABLE hark.tasks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME hark.tasks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: tasks_position_seq; Type: SEQUENCE; Schema: hark; Owner: -
--

ALTER TABLE hark.tasks ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME hark.tasks_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: workers_id_seq; Type: SEQUENCE; Schema: hark; Owner: -
--

ALTER TABLE hark.workers ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME hark.workers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: tasks_finished state; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN state SET DEFAULT 'ready'::text;


--
-- Name: tasks_finished queue; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN queue SET DEFAULT 'default'::text;


--
-- Name: tasks_finished args; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN args SET DEFAULT '[]'::jsonb;


--
-- Name: tasks_finished priority; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN priority SET DEFAULT 0;


--
-- Name: tasks_finished run_at; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN run_at SET DEFAULT now();


--
-- Name: tasks_finished attempt; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN attempt SET DEFAULT 0;


--
-- Name: tasks_finished created_at; Type: DEFAULT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished ALTER COLUMN created_at SET DEFAULT now();


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);


--
-- Name: tasks_finished tasks_finished_pkey; Type: CONSTRAINT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks_finished
    ADD CONSTRAINT tasks_finished_pkey PRIMARY KEY (id);


--
-- Name: tasks tasks_pkey; Type: CONSTRAINT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);


--
-- Name: workers workers_pkey; Type: CONSTRAINT; Schema: hark; Owner: -
--

ALTER TABLE ONLY hark.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);


--
-- Name: tasks_blocked; Type: INDEX; Schema: hark; Owner: -
--

CREATE INDEX tasks_blocked ON hark.tasks USING btree (queue, function) WHERE (state = 'blocked'::text);


--
-- Name: tasks_finished_at; Type: INDEX; Schema: hark; Owner: -
--

CREATE INDEX tasks_finished_at ON hark.tasks_finished USING btree (finished_at);


--
-- Name: tasks_finished_in_vain; Type: INDEX; Schema: hark; Owner: -
--

CREATE INDEX tasks_finished_in_vain ON hark.tasks_finished USING btree (id) WHERE (state = ANY (ARRAY['failed'::text, 'cancelled'::text]));


--
-- Name: tasks_ready; Type: INDEX; Schema: hark; Owner: -
--

CREATE INDEX tasks_ready ON hark.tasks USING btree (queue, priority, "position") WHERE (state = 'ready'::text);


--
-- Name: tasks_running; Type: INDEX; Schema: hark; Owner: -
--

CREATE INDEX tasks_running ON hark.tasks USING btree (id) WHERE (state = 'running'::text);


--
-- Name: tasks_scheduled; Type: INDEX; Schema: hark; Owner: -
--

CREATE INDEX tasks_scheduled ON hark.tasks USING btree (queue, run_at) WHERE (state = 'scheduled'::text);


--
-- Name: tasks_unique_key; Type: INDEX; Schema: hark; Owner: -
--

CREATE UNIQUE INDEX tasks_unique_key ON hark.tasks USING btree (unique_key) WHERE (unique_key IS NOT NULL);


--
-- Name: tasks bell_insert; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE CONSTRAINT TRIGGER bell_insert AFTER INSERT ON hark.tasks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hark.bell();


--
-- Name: tasks bell_update; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE CONSTRAINT TRIGGER bell_update AFTER UPDATE OF state, run_at, queue, priority ON hark.tasks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.token IS NULL)) EXECUTE FUNCTION hark.bell_of_change();


--
-- Name: tasks carry_to_finished; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE TRIGGER carry_to_finished AFTER INSERT OR UPDATE OF state ON hark.tasks FOR EACH ROW WHEN ((new.finished_at IS NOT NULL)) EXECUTE FUNCTION hark.carry_to_finished();


--
-- Name: tasks_finished carry_to_live; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE TRIGGER carry_to_live AFTER UPDATE OF state ON hark.tasks_finished FOR EACH ROW WHEN ((new.state = ANY (ARRAY['ready'::text, 'scheduled'::text]))) EXECUTE FUNCTION hark.carry_to_live();


--
-- Name: tasks guard_delete; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE TRIGGER guard_delete BEFORE DELETE ON hark.tasks FOR EACH ROW WHEN (((old.state = 'running'::text) AND (current_setting('hark.worker'::text, true) IS DISTINCT FROM 'on'::text))) EXECUTE FUNCTION hark.guard_delete();


--
-- Name: tasks_finished guard_revival; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE TRIGGER guard_revival BEFORE UPDATE OF state ON hark.tasks_finished FOR EACH ROW WHEN ((new.state IS DISTINCT FROM old.state)) EXECUTE FUNCTION hark.guard_revival();


--
-- Name: tasks obey_rules_insert; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE TRIGGER obey_rules_insert BEFORE INSERT ON hark.tasks FOR EACH ROW EXECUTE FUNCTION hark.admit_task();


--
-- Name: tasks obey_rules_update; Type: TRIGGER; Schema: hark; Owner: -
--

CREATE TRIGGER obey_rules_update BEFORE UPDATE ON hark.tasks FOR EACH ROW WHEN (((current_setting('hark.worker'::text, true) IS DISTINCT FROM 'on'::text) OR (old.cancel_requested_at IS NOT NULL))) EXECUTE FUNCTION hark.guard_change();


--
-- Name: FUNCTION carry_to_finished(); Type: ACL; Schema: hark; Owner: -
--

REVOKE ALL ON FUNCTION hark.carry_to_finished() FROM PUBLIC;


--
-- Name: FUNCTION carry_to_live(); Type: ACL; Schema: hark; Owner: -
--

REVOKE ALL ON FUNCTION hark.carry_to_live() FROM PUBLIC;


--
-- Name: FUNCTION guard_change(); Type: ACL; Schema: hark; Owner: -
--

REVOKE ALL ON FUNCTION hark.guard_change() FROM PUBLIC;


--
-- PostgreSQL database dump complete
--


