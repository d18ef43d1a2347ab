-- hark: breaking
--
-- The doorbell: a NOTIFY for a worker that sleeps, and for nobody else.
--
-- A NOTIFY with every insert would be simple and wrong: at commit it takes one lock for the whole server and holds it
-- through the sync, so that commits queue up one behind the other. 64 inserting clients fall to a fifth of their speed.
-- Awake workers need no bell: they look for the next task when they have written the last outcome.
--
-- Two advisory locks for each bucket (a queue's name hashed to 0..255; two queues in one bucket only ring too often):
--
--   SLEEP   is held shared, for the session, by each worker that sleeps and could run what comes.
--   SILENT  is held shared, to the end of its transaction, by whoever makes a task ready.
--
--   who makes a task ready, at commit              a worker that found nothing to do
--   1. take SILENT; if it cannot be had, ring      a. take SLEEP
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
-- The trigger is deferred to commit: 1 to 3 then take microseconds, however long the transaction was open, and the
-- question is who sleeps now, not who slept when the row was inserted.
--
-- What an INSERT pays is counted in microseconds. So its trigger has no WHEN clause, which PostgreSQL would read anew for
-- each statement; and nothing remembers that another row of the transaction has asked the same: that would cost a single
-- row more than asking again costs each of many.
--
-- `set constraints all immediate` does 1 and 2 at the INSERT, and PREPARE TRANSACTION long before the commit; SILENT is
-- then held until the end. A worker that meets it asks again ever less often, at last with its polls, and says that it
-- polls. A task that did not ring is found by one or the other; everything that comes after a rings.
--
-- Nobody can block an insert by holding the locks: SLEEP and SILENT are only ever tried, and what cannot be had rings.
-- The numbers of the lock classes are random, to stay clear of an application's own advisory locks.
--
-- Not covered, and found by the workers' poll: triggers switched off (session_replication_role), and sessions that have
-- `set hark.bell = off`: for a bulk load, or for two-phase commit (PREPARE TRANSACTION fails after a NOTIFY).

create function hark.sleep_class() returns integer language sql immutable parallel safe as 'select 1806433741';
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

-- The one place that decides whether and whom to ring: everybody on channel hark_bell_<bucket>, with the queue as payload.
--
-- A task that is not due yet rings too when it is due within a minute, the longest poll interval that a worker may
-- have: sleepers must set their timers anew. Later ones they find by themselves.
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
    perform pg_notify('hark_bell_' || hark.bucket(NEW.queue), NEW.queue);
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
