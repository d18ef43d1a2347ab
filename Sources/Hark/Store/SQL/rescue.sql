-- Gives back the running tasks of workers that are dead, after making sure that they are. Called for what suspects.sql
-- returned, when grace_left is over or the process is gone.
--
-- $1 int4[]  worker ids
-- $2 bool[]  for each: its process is known to be gone (same machine, boot and PID namespace)
--
-- Returns task_id, worker_id and what (ready, scheduled, failed, cancelled) for each task. The rules are hark.rescue's.
select r.task_id, r.lost_by as worker_id, r.what from hark.rescue($1::int4[], $2::bool[]) r
