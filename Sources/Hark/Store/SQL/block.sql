-- Sets tasks aside whose function this worker does not have, as if the attempt had not been; unblock.sql takes them back.
-- Called by the worker's turn.
--
-- $1 int8[]  ids
-- $2 int8[]  tokens of their claims
-- $3 jsonb[] error entries that say why (elements may be null)
--
-- Returns id and state (blocked; cancelled when that was asked for meanwhile) of each one written. One that is missing is
-- either locked by somebody (ask again next turn) or no longer ours (held.sql says so). Plan: see retry.sql.
update only hark.tasks t
set state = 'blocked',
    blocked_by = 'function',
    attempt = greatest(t.attempt - 1, 0),
    worker_id = null, token = null, started_at = null,
    errors = hark.add_error(t.errors, o.error, t.attempt, (select w.name from hark.workers w where w.id = t.worker_id))
from (
  select mine.ctid, claim.error
  from unnest($1::int8[], $2::int8[], $3::jsonb[]) claim (id, token, error),
    lateral (
      select r.ctid from only hark.tasks r where r.id = claim.id and r.token = claim.token for update skip locked
    ) mine
) o
where t.ctid = o.ctid
returning t.id, t.state
