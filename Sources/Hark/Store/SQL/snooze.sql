-- Puts tasks off at their own wish: as if the attempt had not been. Called by the worker's turn.
--
-- $1 int8[]    ids
-- $2 int8[]    tokens of their claims
-- $3 float8[]  delays in seconds; 0 or less: ready at once
--
-- Returns id and state (scheduled, ready; cancelled when that was asked for meanwhile) of each one written. One that is
-- missing is either locked by somebody (ask again next turn) or no longer ours (held.sql says so). Plan: see retry.sql.
update only hark.tasks t
set state = case when o.delay > 0 then 'scheduled' else 'ready' end,
    run_at = now() + make_interval(secs => greatest(o.delay, 0)),
    position = default,
    attempt = greatest(t.attempt - 1, 0),
    worker_id = null, token = null, started_at = null
from (
  select mine.ctid, claim.delay
  from unnest($1::int8[], $2::int8[], $3::float8[]) claim (id, token, delay),
    lateral (
      select r.ctid from only hark.tasks r where r.id = claim.id and r.token = claim.token for update skip locked
    ) mine
) o
where t.ctid = o.ctid
returning t.id, t.state
