-- Deletes tasks, waiting or finished; those that run are left. For the command line.
--
-- $1 int8[]  ids
--
-- Returns the ids deleted.
delete from hark.tasks t
where t.id = any ($1::int8[]) and t.state <> 'running'
returning t.id
