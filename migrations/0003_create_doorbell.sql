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
--   SLEEP    is held exclusively, for the session, by a worker that sleeps and could run what comes: one for each bucket.
--   SILENT   is held shared, to the end of its transaction, by whoever makes a task ready.
--
--   who makes a task ready, at commit              a worker that found nothing to do
--   1. take SILENT; if it cannot be had, ring      a. LISTEN to the bucket's channel, take SLEEP
--   2. is SLEEP free? if not, ring                 b. is SILENT free?
--   3. commit; SILENT goes with the transaction    c. claim once more
--                                                  d. SILENT was free and nothing claimed: sleep
--
-- No task is missed. Consider the order of 2 and a. If a came first, 2 finds SLEEP taken and rings. If 2 came first, so did 1,
-- and at b the transaction either still holds SILENT, so the worker does not sleep but looks again shortly; or it has ended, and
-- since PostgreSQL makes a commit visible before it releases the locks, the claim at c sees the task.
--
-- A ring reaches whoever listens when it becomes visible, which is when its task does. Who began to listen before that hears it;
-- who begins later (or had ended to) makes the claim at c later still, and sees the task, if it is of a queue of its own.
--
-- Locks are not subject to MVCC, so this holds for a writer under REPEATABLE READ too; a flag in a table would not. 2 probes
-- SLEEP shared, so that those who insert at the same time do not take each other for sleepers.
--
-- Only who has SLEEP hears an insert, however many workers sleep. That takes nothing from the proof, because a ring is a duty:
-- who is rung looks, and passes the ring on (pass_on.sql) to two more when the look filled its last slot, when it cannot look (it
-- is full, it drains, its work connection is gone), or when the queue is not its own. It looks first whether there is anything
-- left, so the last one rings nobody.
--
-- The others sleep in one of two ways.
--
--   As a reserve. A worker that is awake with at least half of its slots free, or has SLEEP for all of its queues, is their guard
--   (lock GUARD). Who finds nothing to do while another guards all of its queues takes RESERVE and nothing else: as long as the
--   guard is awake, no insert finds anybody asleep. A guard that fills up or leaves hands over (hark.hand_over): it gives GUARD
--   back, and if nobody else guards, it rings a reserve, which looks and arms as above. Neither misses the other: the reserve
--   takes RESERVE and then tries GUARD, the guard gives GUARD back and then tries RESERVE.
--
--   Standing by. Whose queues are not all guarded by one other, and who finds SLEEP taken in a bucket, takes STANDBY there. Who
--   gives SLEEP back calls one that stands by for each queue, which looks and tries again. A call is a duty, too: who cannot take
--   SLEEP after all (it becomes a reserve, fills up, leaves) calls the next. Neither misses the other: the one takes STANDBY and
--   then tries SLEEP, the other gives SLEEP back and then tries STANDBY.
--   SLEEPER, with the number of worker and bucket, tells who is asleep in a bucket, for those who ring a worker by its number.
--
-- A guard that is killed is missed by its reserves, and a holder of SLEEP by those who stand by, at their next poll. One that is
-- frozen, too, but for the 10 s in which it may still be heard of: who then stands by for it listens itself.
--
-- The same for what is due later: whoever is rung for it sets its timer, and so does whoever finds it by its poll and is no
-- reserve. A worker that is full passes that on, too.
--
-- The trigger is deferred to commit: 1 to 3 then take microseconds, however long the transaction was open, and the
-- question is who sleeps now, not who slept when the row was inserted.
--
-- What an INSERT pays is counted in microseconds. So its trigger has no WHEN clause, which PostgreSQL would read anew for
-- each statement, and asks all that the usual case needs in one expression, since PL/pgSQL sets up each that it evaluates for each
-- transaction. PostgreSQL sends equal notifications of one transaction once.
--
-- `set constraints all immediate` does 1 and 2 at the INSERT, and PREPARE TRANSACTION long before the commit; SILENT is
-- then held until the end. A worker that meets it asks again ever less often, at last with its polls, and says that it
-- polls. A task that did not ring is found by one or the other; everything that comes after a rings. A task that did ring rang
-- who slept at its INSERT; if that worker is gone at the commit, the polls find it.
--
-- Nobody can block an insert by holding the locks: SLEEP and SILENT are only ever tried, and what cannot be had rings. A stranger
-- that holds SLEEP shared keeps workers from sleeping: they poll, and say so.
-- The numbers of the lock classes are random, to stay clear of an application's own advisory locks.
--
-- Not covered, and found by the workers' poll: triggers switched off (session_replication_role), and sessions that have
-- `set hark.bell = off`: for a bulk load, or for two-phase commit (PREPARE TRANSACTION fails after a NOTIFY).

create function hark.sleep_class() returns integer language sql immutable parallel safe as 'select 1806433741';
create function hark.sleeper_class() returns integer language sql immutable parallel safe as 'select 1392071846';
create function hark.standby_class() returns integer language sql immutable parallel safe as 'select 1120659847';
create function hark.guard_class() returns integer language sql immutable parallel safe as 'select 1530942697';
create function hark.reserve_class() returns integer language sql immutable parallel safe as 'select 1648305129';
create function hark.silent_class() returns integer language sql immutable parallel safe as 'select 1273690251';

-- The lock number and the channel of a queue's bell: 0 to 255, few enough that one transaction with tasks for every
-- queue there is cannot fill the server's lock table.
create function hark.bucket(queue text) returns integer language sql immutable parallel safe as 'select hashtext(queue) & 255';

-- Whether some other session holds this lock for itself. Taking and giving back is one expression, so that nothing can come
-- between and leave the lock behind.
create function hark.is_taken(class integer, key integer) returns boolean language sql as
  'select case when pg_try_advisory_lock_shared(class, key) then not pg_advisory_unlock_shared(class, key) else true end';

-- 1 and 2 of a transaction that makes a task of this queue ready: nobody sleeps, and who is about to will look again when it has
-- ended. Else it has to ring.
create function hark.may_be_silent(queue text) returns boolean language sql as $$
  select pg_try_advisory_xact_lock_shared(hark.silent_class(), hark.bucket(queue))
    and pg_try_advisory_lock_shared(hark.sleep_class(), hark.bucket(queue)) and pg_advisory_unlock_shared(hark.sleep_class(), hark.bucket(queue))
$$;

-- Whether to ring, on channel hark_bell_<bucket> with the queue as payload, for a row that has come or was put here.
--
-- A task that is not due yet rings too when it is due within a minute, the longest poll interval that a worker may
-- have: a sleeper must set its timer anew. Later ones they find by themselves.
create function hark.bell() returns trigger language plpgsql as $$
begin
  if NEW.state = 'ready' and current_setting('hark.bell', true) is distinct from 'off' and hark.may_be_silent(NEW.queue) then
    return null;
  end if;
  if current_setting('hark.bell', true) is distinct from 'off'
    and (NEW.state = 'ready'
      or NEW.state = 'scheduled' and NEW.run_at < now() + interval '1 minute'
        and not hark.may_be_silent(NEW.queue))
  then
    perform pg_notify('hark_bell_' || hark.bucket(NEW.queue), NEW.queue);
  end if;
  return null;
end $$;

create constraint trigger bell_insert after insert on hark.tasks deferrable initially deferred for each row
  execute function hark.bell();

-- The same for a row that was there: only what makes it begin earlier, or elsewhere, is news.
create function hark.bell_of_change() returns trigger language plpgsql as $$
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

-- A claim gives the row a token, and pays no more than a look at that.
create constraint trigger bell_update after update of state, run_at, queue, priority on hark.tasks
  deferrable initially deferred for each row
  when (NEW.token is null)
  execute function hark.bell_of_change();

insert into hark.migrations (name, compatible) values ('0003_create_doorbell', false);
