-- hark: breaking
--
-- Workers, and what happens to the tasks of a dead one.
--
-- A worker has one row here while it lives, updates beat_at at least every 5 s, and holds the advisory lock
-- (WORKER, its id) on its signal connection. The lock says at once that the connection is gone; it does not say that the
-- worker is dead, which may be about to reconnect. So a worker is dead
--
--   when its lock is free, and either somebody on the same machine saw that its process is gone, or it has not
--   been heard of for 5 s;
--   or, whoever holds its lock, when it has not been heard of for 30 s: it is stopped, frozen or cut off.
--
-- "Heard of" counts from the start of the server at the earliest: after a restart every lock is free and every beat is
-- old, and the workers need a moment to come back.
--
-- A worker that was given up for dead and lives after all does no harm: rescue has taken its tokens out of its tasks, so
-- what it writes changes nothing, and its next beat finds no row and tells it to register anew. Its last claim may
-- still be under way when its row goes; tasks that run for a worker without a row are orphans, which the eldest worker
-- looks for now and then.

create table hark.workers (
  id             integer generated always as identity primary key,
  name           text not null,
  state          text not null default 'starting',
  listener       text,  -- listening, or polling since when and why, or disconnected
  queues         text[] not null default '{}',
  slots          integer not null default 0,
  running        integer not null default 0,
  hostname       text,
  pid            integer,
  pid_start      bigint,  -- when the process started, as the kernel counts; tells it from a later one with its pid
  boot_id        text,
  pid_namespace  text,
  version        text,
  incarnation    text,
  started_at     timestamptz not null default now(),
  beat_at        timestamptz not null default now(),
  constraint "state must be starting, working or draining" check (state in ('starting', 'working', 'draining'))
)
-- Few rows, each updated every few seconds: room on the page, so that no index is touched.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);

comment on table hark.workers is 'One row for each worker that lives. A dead one is removed by the others when its tasks are rescued.';

create function hark.worker_class() returns integer language sql immutable parallel safe as 'select 1987214613';
create function hark.grace() returns interval language sql immutable parallel safe as $$select interval '5 seconds'$$;
create function hark.lost_after() returns interval language sql immutable parallel safe as $$select interval '30 seconds'$$;

-- Probed shared, so that two who ask at once do not see each other. A session that holds the lock sees it free: a worker
-- must not ask about itself on its signal connection.
create function hark.worker_lock_is_free(worker_id integer) returns boolean language sql volatile as
  'select not hark.is_taken(hark.worker_class(), worker_id)';

-- When a worker was last heard of.
create function hark.last_heard_of(w hark.workers) returns timestamptz language sql stable as $$
  select greatest(w.beat_at, pg_postmaster_start_time())
$$;

-- The rule. process_gone: somebody on the worker's own machine (same boot, same PID namespace) saw that no process has
-- its pid and start time.
create function hark.worker_is_dead(w hark.workers, process_gone boolean) returns boolean language sql volatile as $$
  select case when hark.worker_lock_is_free(w.id)
    then coalesce(process_gone, false) or hark.last_heard_of(w) < now() - hark.grace()
    else hark.last_heard_of(w) < now() - hark.lost_after() end
$$;

-- How often a task's worker has died while it ran.
create function hark.times_lost(errors jsonb) returns integer language sql immutable parallel safe as $$
  select count(*)::integer from jsonb_array_elements(errors) e where e ->> 'kind' = 'lost'
$$;

-- Gives back what the dead among these workers were running, and removes their rows. Who turns out to live is left alone.
-- Returns each task with the worker it was lost by and what became of it: ready, scheduled, failed or cancelled.
--
-- A task may be what kills its workers. The first loss costs it nothing; after the second and third it waits for a
-- random while, so that it parts from innocent tasks that died beside it; the fourth is the last.
-- Tasks locked by others are skipped, and the worker's row stays for the next rescue.
create function hark.rescue(worker_ids integer[], process_gone boolean[])
returns table (task_id bigint, lost_by integer, what text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- The doorbell, as workers have it; the rules are at the head of 0003_create_doorbell.sql. Who is not heard of for 10 s (frozen, or
-- cut off) is not counted on.
create function hark.is_heard(w hark.workers) returns boolean language sql volatile as
  'select w.beat_at > clock_timestamp() - 2 * hark.grace()';

-- The SLEEPER lock of a worker in a bucket.
create function hark.sleeper(worker integer, bucket integer) returns integer language sql immutable parallel safe as
  'select (worker & 8388607) * 256 + bucket';

create function hark.is_asleep(worker integer, bucket integer) returns boolean language sql as
  'select hark.is_taken(hark.sleeper_class(), hark.sleeper(worker, bucket))';

-- Rings so many other workers that sleep for this queue, standing by or as reserves: each on its own channel hark_worker_<id> with
-- the payload 'bell <queue>'. Another transaction rings others.
create function hark.ring(queue text, workers integer, except_worker integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Whether another worker sees to all of these queues: awake with room, or asleep with SLEEP for all of its own.
create function hark.is_guarded(worker integer, queues text[]) returns boolean
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from hark.workers w
    where w.id <> worker and (w.queues = is_guarded.queues or w.queues @> is_guarded.queues)
      and hark.is_heard(w) and hark.is_taken(hark.guard_class(), w.id))
$$;

-- The processes that hold SLEEP exclusively in this bucket, as a sleeper does: one at most.
create function hark.sleepers(bucket integer) returns table (pid integer)
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select l.pid from pg_locks l
  where l.locktype = 'advisory' and l.objsubid = 2 and l.granted and l.mode = 'ExclusiveLock'
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.classid = hark.sleep_class()::oid and l.objid = sleepers.bucket::oid
$$;

-- Takes SLEEP for the session, or says why not: taken, another session holds it exclusively; blocked, somebody has it shared, as who is
-- about to commit without having rung.
create function hark.try_sleep(bucket integer) returns text language sql volatile set search_path = pg_catalog, pg_temp as $$
  select case
    when pg_try_advisory_lock(hark.sleep_class(), bucket) then 'had'
    when exists (select from hark.sleepers(bucket)) then 'taken'
    else 'blocked'
  end
$$;

-- Whether the SLEEP of each of these buckets is held by a worker that is heard of, and will pass on what is not its own.
create function hark.are_answered(buckets integer[]) returns boolean
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select not exists (
    select from unnest(buckets) b (bucket)
    where not exists (
      select from hark.sleepers(b.bucket) sleeper
      join pg_locks alive on alive.pid = sleeper.pid and alive.database = (select d.oid from pg_database d where d.datname = current_database())
      join hark.workers w on w.id = alive.objid::int8
      where alive.locktype = 'advisory' and alive.objsubid = 2 and alive.granted and alive.classid = hark.worker_class()::oid
        and hark.is_heard(w)))
$$;

-- This worker leaves these buckets to others. Where nobody has SLEEP, one that stands by is called for each queue: who takes SLEEP
-- looks for its own queues only.
create function hark.call_standby(worker integer, buckets integer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

create function hark.buckets(queues text[]) returns integer[] language sql immutable parallel safe as
  'select coalesce(array_agg(distinct hark.bucket(q)), ''{}'') from unnest(queues) q';

-- A worker that found nothing to do goes to sleep: as a reserve if it sleeps for all of its queues (whole) and another guards
-- them, else with SLEEP, or standing by where another one has that. guards: it holds GUARD, being awake. blocked: the buckets whose
-- SLEEP it has still to wait for. The locks are the session's.
create function hark.arm(worker integer, queues text[], whole boolean, guards boolean, out is_reserve boolean, out stands_by boolean, out blocked integer[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Waits for the SLEEP of these buckets, which it could not have when it armed, so long altogether. While it waits, who makes a task ready
-- rings, because a try fails behind one that waits. Says had, taken (another worker that waited was first: arm anew), or blocked.
create function hark.await_sleep(buckets integer[], patience interval) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Gives back every lock of a sleeper or a guard that this session holds, and calls those who stand by: in each bucket that it answered
-- for, and if the worker will not take over what it was called for itself, in every bucket. queues: all of the worker's. guards: it is
-- awake with room, and guards its queues from now on. Returns how many locks.
create function hark.disarm(worker integer, queues text[], guards boolean) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- A guard that is full or leaves: others are to see to its queues, one if it has all of them. guards: it holds GUARD.
create function hark.hand_over(worker integer, queues text[], guards boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

insert into hark.migrations (name, compatible) values ('0004_create_workers', false);
