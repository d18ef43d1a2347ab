-- Which of these tasks still run under our claim? A plain read that neither locks nor waits: a task whose outcome could
-- not be written and which is not returned here was lost to somebody else. Called after a write that left ids out.
--
-- $1 int8[]  ids
-- $2 int8[]  tokens of their claims
--
-- Returns the ids that are still ours. `offset 0` keeps it one probe of the primary key each.
select claim.id
from unnest($1::int8[], $2::int8[]) claim (id, token),
  lateral (select from only hark.tasks r where r.id = claim.id and r.token = claim.token offset 0) mine
