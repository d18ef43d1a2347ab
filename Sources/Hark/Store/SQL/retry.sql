-- Gives tasks back for another attempt after a delay, with an error on record. Called by the worker's turn.
--
-- $1 int8[]    ids
-- $2 int8[]    tokens of their claims
-- $3 float8[]  delays in seconds; 0 or less: ready at once
-- $4 jsonb[]   error entries {kind, message, detail} (elements may be null); time, attempt and worker are added here
--
-- Returns id and state (scheduled, ready; cancelled when that was asked for meanwhile) of each one written. One that is
-- missing is either locked by somebody (ask again next turn) or no longer ours (held.sql says so).
--
-- Like complete.sql, but the delays travel with the rows, so the update joins on ctid: a nested loop of Tid Scans.
update only hark.tasks t
set state = case when o.delay > 0 then 'scheduled' else 'ready' end,
    run_at = now() + make_interval(secs => greatest(o.delay, 0)),
    position = default,
    worker_id = null, token = null, started_at = null,
    errors = hark.add_error(t.errors, o.error, t.attempt, (select w.name from hark.workers w where w.id = t.worker_id))
from (
  select mine.ctid, claim.delay, claim.error
  from unnest($1::int8[], $2::int8[], $3::float8[], $4::jsonb[]) claim (id, token, delay, error),
    lateral (
      select r.ctid from only hark.tasks r where r.id = claim.id and r.token = claim.token for update skip locked
    ) mine
) o
where t.ctid = o.ctid
returning t.id, t.state
