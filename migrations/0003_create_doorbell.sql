-- hark: breaking
--
-- The doorbell: a NOTIFY for a worker that sleeps, and for nobody else.
--
-- A NOTIFY with every insert would be simple and wrong: at commit it takes one lock for the whole server and holds it
-- through the sync, so that commits queue up one behind the other. 64 inserting clients fall to a third of their
-- speed, on a slow disk to a twentieth. Awake workers need no bell: they look for the next task when they have written the last outcome.
--
-- One advisory lock for each bucket (a queue's name hashed to 0..255; two queues in one bucket only ring too often): SLEEP. A worker
-- that sleeps and could run what comes holds it exclusively, for the session: one for each bucket. Whoever inserts a task, or makes one
-- ready, tries to have it shared, to the end of the transaction.
--
--   who makes a task ready, at commit           a worker that found nothing to do
--   1. try SLEEP, shared; if it cannot be       a. LISTEN to the bucket's channel, take SLEEP exclusively; where somebody
--      had, ring                                   has it shared, wait until he has ended
--   2. commit; SLEEP goes with the transaction  b. claim once more; if nothing was there: sleep
--
-- No task is missed. Who does not ring has SLEEP shared until the commit. If he had it before a, then a waits for him, and since
-- PostgreSQL makes a commit visible before it releases the locks, the claim at b sees the task. After a nobody gets it, until the worker
-- gives it back. Who waits at a is not kept waiting by those who come later: PostgreSQL lets no try pass one that waits, but for a
-- transaction that has the lock already, so they ring.
--
-- A ring reaches whoever listens when it becomes visible, which is when its task does. Who began to listen before that, with the commit
-- of a, hears it; who begins later (or had ended to) makes the claim at b later still, and sees the task, if it is of a queue of its own.
--
-- Locks are not subject to MVCC, so this holds for a writer under REPEATABLE READ too; a flag in a table would not.
--
-- Who is rung for a single task keeps SLEEP while it runs it, with room for more: lying down anew for each would cost more than their
-- bells. Who finds more than one at a time wakes up, which is to give SLEEP back: from then on it looks by itself.
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
--   Standing by. Whose queues are not all guarded by one other, and who finds SLEEP held exclusively in a bucket, takes STANDBY there. Who
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
-- The trigger is deferred to commit: 1 and 2 then take microseconds for a row, however long the transaction was open, and the question
-- is who sleeps now, not who slept when the row was inserted.
--
-- What an INSERT pays is counted in instructions. So its trigger has no WHEN clause, which PostgreSQL would read anew for each
-- statement, and begins with the try, also for a task that needs no bell: with nobody asleep that is all. PL/pgSQL sets up every expression
-- that it evaluates for each transaction, function by function, and `return null` would be one more. PostgreSQL sends equal notifications
-- of one transaction once.
--
-- But a million rows take seconds; `set constraints all immediate` does 1 at the INSERT, PREPARE TRANSACTION long before the commit; and
-- SLEEP is held until the end. A worker that meets somebody like that in one bucket is armed for all others, and waits for this one
-- (hark.await_sleep): for 0.1 to 0.4 s at a time, in which its session hears nothing, and who inserts into the bucket rings. After each
-- wait it looks. After a second it says that it polls, and then waits shortly, with pauses of a second and more, up to its poll interval:
-- what is inserted into the bucket in a pause does not ring, and is found by the look after the next wait, or by a poll.
--
-- Nobody can block an insert by holding the lock: there it is only tried, and what cannot be had rings. A stranger that holds it
-- shared keeps workers from sleeping: they poll, and say so.
-- The numbers of the lock classes are random, to stay clear of an application's own advisory locks.
--
-- Not covered, and found by the workers' poll: triggers switched off (session_replication_role), and sessions that have
-- `set hark.bell = off`: for a bulk load, or for two-phase commit (PREPARE TRANSACTION fails after a NOTIFY). Whoever inserts with the
-- bell off has SLEEP shared nevertheless where nobody sleeps.

create function hark.sleep_class() returns integer language sql immutable parallel safe as 'select 1806433741';
create function hark.sleeper_class() returns integer language sql immutable parallel safe as 'select 1392071846';
create function hark.standby_class() returns integer language sql immutable parallel safe as 'select 1120659847';
create function hark.guard_class() returns integer language sql immutable parallel safe as 'select 1530942697';
create function hark.reserve_class() returns integer language sql immutable parallel safe as 'select 1648305129';

-- The lock number and the channel of a queue's bell: 0 to 255, few enough that one transaction with tasks for every
-- queue there is cannot fill the server's lock table.
create function hark.bucket(queue text) returns integer language sql immutable parallel safe as 'select hashtext(queue) & 255';

-- Whether some other session holds this lock for itself, or waits for it. Taking and giving back is one expression, so that nothing
-- can come between and leave the lock behind.
create function hark.is_taken(class integer, key integer) returns boolean language sql as
  'select case when pg_try_advisory_lock_shared(class, key) then not pg_advisory_unlock_shared(class, key) else true end';

-- 1 of a transaction with a task of this queue: nobody sleeps, and who is about to waits for it. Else it has to ring.
create function hark.may_be_silent(queue text) returns boolean language sql as
  'select pg_try_advisory_xact_lock_shared(hark.sleep_class(), hark.bucket(queue))';

-- Whether to ring, on channel hark_bell_<bucket> with the queue as payload, for a row that has come or was put here.
--
-- A task that is not due yet rings too when it is due within a minute, the longest poll interval that a worker may
-- have: a sleeper must set its timer anew. Later ones they find by themselves.
create function hark.bell() returns trigger language plpgsql as $$
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
