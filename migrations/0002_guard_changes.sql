-- hark: breaking
--
-- What people may do to a task by hand, and how a row crosses between hark.tasks and hark.tasks_finished.
--
--   update hark.tasks set state = 'cancelled' where id = 42      a waiting task is finished; for a running one it is a
--                                                                request, which its worker is told of
--   update hark.tasks set state = 'ready' where id = 42          a waiting task runs now; a finished one runs again
--   update hark.tasks set run_at = now() + '1 hour' where ...    a waiting task is put off (or brought forward)
--   update hark.tasks set queue = 'slow' where ...               moves it to the end of another line
--   delete from hark.tasks where id = 42                         unless it runs
--
-- Everything else that would leave a function running without a row, or a row running without a function, is refused
-- with a sentence. A running task that is cancelled keeps its row, and with it its unique_key, until the outcome is
-- written: a second task of the key must not start beside the first.
--
-- Workers know what they do: their sessions have `set hark.worker = on`, and what they write breaks no rule. This is a guard
-- against mistakes and not against malice; who may update tasks at all is a matter of grants.
--
-- The triggers' WHEN clauses spare the statements of a worker the function call. They are few and short, since PostgreSQL reads and
-- plans each anew for each statement; the rest of a condition stands in the function. The functions are SECURITY DEFINER because
-- a row that crosses is deleted here and inserted there, which whoever may update its state need not be allowed to do.

create function hark.guard_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- Named so that it fires after most triggers that others may add.
create trigger obey_rules_update before update on hark.tasks for each row
  when (current_setting('hark.worker', true) is distinct from 'on' or OLD.cancel_requested_at is not null)
  execute function hark.guard_change();

create function hark.guard_delete() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'task % is running and cannot be deleted', OLD.id
    using errcode = 'object_not_in_prerequisite_state',
      hint = 'Set state = ''cancelled'' first; delete it when its worker has written the outcome.';
end $$;

create trigger guard_delete before delete on hark.tasks for each row
  when (OLD.state = 'running' and current_setting('hark.worker', true) is distinct from 'on')
  execute function hark.guard_delete();

-- Live to finished.
create function hark.carry_to_finished() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from only hark.tasks where id = NEW.id;
  insert into hark.tasks_finished values (NEW.*);
  return null;
end $$;

create trigger carry_to_finished after insert or update of state on hark.tasks for each row
  when (NEW.finished_at is not null)
  execute function hark.carry_to_finished();

-- Finished to live: "run it again". It starts anew: attempt 0, no outcome, the end of the line.
create function hark.guard_revival() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

create trigger guard_revival before update of state on hark.tasks_finished for each row
  when (NEW.state is distinct from OLD.state)
  execute function hark.guard_revival();

create function hark.carry_to_live() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from hark.tasks_finished where id = NEW.id;
  insert into hark.tasks (id, queue, function, args, priority, run_at, max_attempts, timeout, unique_key, created_at)
    overriding system value
    values (NEW.id, NEW.queue, NEW.function, NEW.args, NEW.priority, NEW.run_at, NEW.max_attempts, NEW.timeout, NEW.unique_key, NEW.created_at);
  return null;
end $$;

create trigger carry_to_live after update of state on hark.tasks_finished for each row
  when (NEW.state in ('ready', 'scheduled'))
  execute function hark.carry_to_live();

-- Whoever may execute a trigger function can put it on a table of his own and feed it rows.
revoke execute on function hark.guard_change(), hark.carry_to_finished(), hark.carry_to_live() from public;

-- Locks a task for hark.retry and hark.cancel without ever waiting. Null when it cannot be had; why_not then says why.
create function hark.try_to_take(task_id bigint, out state text, out unique_key text, out why_not text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Runs tasks (again) now. For each id one row: what became of it, 'ready' or 'skipped', and a note.
-- Finished tasks are revived, waiting ones brought forward, running ones skipped. Never waits for a lock, never fails
-- because one of the tasks cannot be had.
create function hark.retry(ids bigint[]) returns table (id bigint, result text, note text)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
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

-- Cancels tasks. For each id one row: 'cancelled' (it waited), 'requested' (it runs; its worker has been told) or
-- 'skipped', and a note. Never waits for a lock.
create function hark.cancel(ids bigint[]) returns table (id bigint, result text, note text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

insert into hark.migrations (name, compatible) values ('0002_guard_changes', false);
