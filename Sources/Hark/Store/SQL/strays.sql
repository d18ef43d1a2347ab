-- Gives back running tasks of ours that we know nothing of: their claim was committed, but the answer was lost with the
-- connection. Called for a while after a claim whose end was not seen, ahead of the next claim in the same round trip.
--
-- $1 int4    worker id
-- $2 int8[]  ids of everything that this worker runs or has yet to write
-- $3 int8[]  tokens of their claims
--
-- Returns the ids. The attempt did not happen and is given back. Reads tasks_running, which holds only what runs.
update only hark.tasks t
set state = 'ready', position = default, attempt = greatest(t.attempt - 1, 0), worker_id = null, token = null, started_at = null
where t.ctid = any (array(
  select r.ctid from only hark.tasks r
  where r.state = 'running' and r.worker_id = $1::int4
    and not exists (select from unnest($2::int8[], $3::int8[]) known (id, token) where known.id = r.id and known.token = r.token)
  for update skip locked
))
returning t.id
