-- hark: breaking
--
-- The doorbell: a NOTIFY for a worker that sleeps, and for nobody else.
--
-- A NOTIFY with every insert would be simple and wrong: at commit it takes one lock for the whole server and holds it
-- through the sync, so that commits queue up one behind the other. 64 inserting clients fall to a fifth of their speed.
-- Awake workers need no bell: they look for the next task when they have written the last outcome.
--
-- Three advisory locks for each bucket (a queue's name hashed to 0..255; two queues in one bucket only ring too often):
--
--   SLEEP    is held shared, for the session, by each worker that sleeps and could run what comes.
--   SLEEPER  is held by the same worker and has its number, so that it can be told from the others.
--   SILENT   is held shared, to the end of its transaction, by whoever makes a task ready.
--
--   who makes a task ready, at commit              a worker that found nothing to do
--   1. take SILENT; if it cannot be had, ring      a. take SLEEP, then SLEEPER
--   2. is SLEEP free? if not, ring                 b. is SILENT free?
--   3. commit; SILENT goes with the transaction    c. claim once more
--                                                  d. SILENT was free and nothing claimed: sleep
--
-- No task is missed. Consider the order of 2 and a. If a came first, 2 finds SLEEP taken and rings; the notification is
-- sent at commit to a session that has been listening since before a. If 2 came first, so did 1, and at b the
-- transaction either still holds SILENT, so the worker does not sleep but looks again shortly; or it has ended, and
-- since PostgreSQL makes a commit visible before it releases the locks, the claim at c sees the task.
--
-- Locks are not subject to MVCC, so this holds for a writer under REPEATABLE READ too; a flag in a table would not.
--
-- Only one sleeper is rung, however many there are; the rest sleep on. That takes nothing from the proof, because a ring is a
-- duty: who is rung looks, and passes the ring on (pass_on.sql) to two more when the look filled its last slot, or when it
-- cannot look: it is full, it drains, its work connection is gone. It looks first whether there is anything left, so the last
-- one rings nobody. hark.workers only says whose SLEEPER to try. When none is found (a worker between its two locks, a
-- snapshot from before it came), everybody is rung, and that is no duty. A worker that dies with a ring in its socket costs one
-- poll interval. One that is frozen is heard of no more: after 10 s it is not rung.
--
-- And where one worker is enough for what comes, the others let it be: else every insert would find somebody asleep, and ring.
-- A worker that is awake, with at least half of its slots free, or asleep with SLEEP, is a guard of its queues (lock GUARD). Who
-- finds nothing to do while another guards all of its queues sleeps as a reserve (lock RESERVE), without SLEEP: inserts do not
-- see it. A guard that fills up or leaves hands over (hark.hand_over): it gives GUARD back, and if nobody else guards, it rings
-- a reserve, which looks and arms as above. Neither misses the other: the reserve takes RESERVE and then tries GUARD, the guard
-- gives GUARD back and then tries RESERVE. A guard that is killed is missed by the reserves at their next poll.
--
-- The same for what is due later: whoever is rung for it sets its timer, and so does whoever finds it by its poll and is no
-- reserve. A worker that is full passes that on, too.
--
-- The trigger is deferred to commit: 1 to 3 then take microseconds, however long the transaction was open, and the
-- question is who sleeps now, not who slept when the row was inserted.
--
-- What an INSERT pays is counted in microseconds. So its trigger has no WHEN clause, which PostgreSQL would read anew for
-- each statement; and only a ring is remembered to the end of the transaction: to remember the silent answer would cost a
-- single row more than asking again costs each of many.
--
-- `set constraints all immediate` does 1 and 2 at the INSERT, and PREPARE TRANSACTION long before the commit; SILENT is
-- then held until the end. A worker that meets it asks again ever less often, at last with its polls, and says that it
-- polls. A task that did not ring is found by one or the other; everything that comes after a rings. A task that did ring rang
-- who slept at its INSERT; if that worker is gone at the commit, the polls find it.
--
-- Nobody can block an insert by holding the locks: SLEEP and SILENT are only ever tried, and what cannot be had rings.
-- The numbers of the lock classes are random, to stay clear of an application's own advisory locks.
--
-- Not covered, and found by the workers' poll: triggers switched off (session_replication_role), and sessions that have
-- `set hark.bell = off`: for a bulk load, or for two-phase commit (PREPARE TRANSACTION fails after a NOTIFY).

create function hark.sleep_class() returns integer language sql immutable parallel safe as 'select 1806433741';
create function hark.sleeper_class() returns integer language sql immutable parallel safe as 'select 1392071846';
create function hark.guard_class() returns integer language sql immutable parallel safe as 'select 1530942697';
create function hark.reserve_class() returns integer language sql immutable parallel safe as 'select 1648305129';
create function hark.silent_class() returns integer language sql immutable parallel safe as 'select 1273690251';

-- The lock number and the channel of a queue's bell: 0 to 255, few enough that one transaction with tasks for every
-- queue there is cannot fill the server's lock table.
create function hark.bucket(queue text) returns integer language sql immutable parallel safe as 'select hashtext(queue) & 255';

-- Taking and giving back is one expression, so that nothing can come between and leave the lock behind.
create function hark.nobody_sleeps(bucket integer) returns boolean language sql as
  'select pg_try_advisory_lock(hark.sleep_class(), bucket) and pg_advisory_unlock(hark.sleep_class(), bucket)';

-- Makes sure, to the end of the transaction, that a worker which is about to sleep will look again.
create function hark.take_silent(bucket integer) returns boolean language sql as
  'select pg_try_advisory_xact_lock_shared(hark.silent_class(), bucket)';

-- The SLEEPER lock of a worker in a bucket.
create function hark.sleeper(worker integer, bucket integer) returns integer language sql immutable parallel safe as
  'select (worker & 8388607) * 256 + bucket';

-- Whether some other session holds this lock for itself.
create function hark.is_taken(class integer, key integer) returns boolean language sql as
  'select case when pg_try_advisory_lock_shared(class, key) then not pg_advisory_unlock_shared(class, key) else true end';

create function hark.is_asleep(worker integer, bucket integer) returns boolean language sql as
  'select hark.is_taken(hark.sleeper_class(), hark.sleeper(worker, bucket))';

-- The one place that decides whom to ring: so many sleepers of this queue, each on its own channel hark_worker_<id> with the
-- payload 'bell <queue>'. If none can be found, or for "workers => 0": everybody, on channel hark_bell_<bucket> with the queue
-- as payload. One transaction rings the same ones again, another one others. With reserves: these, too, and nobody if none sleeps.
--
-- SECURITY DEFINER, because who enqueues may not read hark.workers.
create function hark.ring(queue text, workers integer default 1, except_worker integer default null, reserves boolean default false) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  worker integer;
  left_to_ring integer := workers;
begin
  if workers > 0 then
    for worker in
      select w.id from hark.workers w
      where w.id is distinct from except_worker and ring.queue = any (w.queues) and w.beat_at > clock_timestamp() - 2 * hark.grace()
      order by hashint8extended(w.id, txid_current())
    loop
      if hark.is_asleep(worker, hark.bucket(ring.queue)) or reserves and hark.is_taken(hark.reserve_class(), worker) then
        perform pg_notify('hark_worker_' || worker, 'bell ' || ring.queue);
        left_to_ring := left_to_ring - 1;
        exit when left_to_ring = 0;
      end if;
    end loop;
  end if;
  if left_to_ring = workers and (not reserves or not hark.nobody_sleeps(hark.bucket(ring.queue))) then
    perform pg_notify('hark_bell_' || hark.bucket(ring.queue), ring.queue);
  end if;
end $$;

-- The one place that decides whether to ring.
--
-- A task that is not due yet rings too when it is due within a minute, the longest poll interval that a worker may
-- have: a sleeper must set its timer anew. Later ones they find by themselves.
create function hark.bell() returns trigger language plpgsql as $$
begin
  if NEW.state <> 'ready' then
    if NEW.state <> 'scheduled' or NEW.run_at >= now() + interval '1 minute' then
      return null;
    end if;
  end if;
  if current_setting('hark.bell', true) is distinct from 'off'
    and not (hark.take_silent(hark.bucket(NEW.queue)) and hark.nobody_sleeps(hark.bucket(NEW.queue)))
  then
    -- Once more, because another one that asks at this moment looks like a sleeper. In a statement of its own: what is not
    -- reached costs nothing, while PL/pgSQL sets up the condition above for each transaction.
    if not (hark.take_silent(hark.bucket(NEW.queue)) and hark.nobody_sleeps(hark.bucket(NEW.queue)))
      and current_setting('hark.rung', true) is distinct from NEW.queue
    then
      perform hark.ring(NEW.queue), set_config('hark.rung', NEW.queue, true);
    end if;
  end if;
  return null;
end $$;

create constraint trigger bell_insert after insert on hark.tasks deferrable initially deferred for each row
  execute function hark.bell();

create constraint trigger bell_update after update of state, run_at, queue, priority on hark.tasks
  deferrable initially deferred for each row
  when (NEW.state = 'ready' and (OLD.state <> 'ready' or NEW.queue <> OLD.queue or NEW.priority <> OLD.priority)
        or NEW.state = 'scheduled' and (OLD.state <> 'scheduled' or NEW.run_at < OLD.run_at or NEW.queue <> OLD.queue))
  execute function hark.bell();

insert into hark.migrations (name, compatible) values ('0003_create_doorbell', false);
