-- The triggers of hark.tasks and hark.tasks_finished that somebody has switched off. Called by doctor.
--
-- Returns name, table_name, and state (disabled, or replica: fires only on a replica). No rows when all is well.
select t.tgname::text as name, t.tgrelid::regclass::text as table_name,
  case t.tgenabled when 'D' then 'disabled' else 'replica' end as state
from pg_trigger t
where t.tgrelid in ('hark.tasks'::regclass, 'hark.tasks_finished'::regclass)
  and not t.tgisinternal and t.tgenabled in ('D', 'R')
order by 2, 1
