-- Sets tasks aside whose function this worker does not have, as if the attempt had not been; unblock.sql takes them back.
-- Called by the worker's turn.
--
-- $1 int8[]  ids
-- $2 int8[]  tokens of their claims
--
-- Returns id and state (blocked; cancelled when that was asked for meanwhile) of each one written. One that is missing is
-- either locked by somebody (ask again next turn) or no longer ours (held.sql says so). Plan: see complete.sql.
update only hark.tasks t
set state = 'blocked',
    blocked_by = 'function',
    attempt = greatest(t.attempt - 1, 0),
    worker_id = null, token = null, started_at = null
where t.ctid = any (array(
  select mine.ctid
  from unnest($1::int8[], $2::int8[]) claim (id, token),
    lateral (
      select r.ctid from only hark.tasks r where r.id = claim.id and r.token = claim.token for update skip locked
    ) mine
))
returning t.id, t.state
