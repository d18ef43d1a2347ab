-- Which of the tasks that we run does somebody want cancelled? Called at each poll and after reconnecting, since the
-- control notification may have been missed.
--
-- $1 int8[]  ids
-- $2 int8[]  tokens of their claims
--
-- Returns the ids. One probe of the primary key each, no locks.
select claim.id
from unnest($1::int8[], $2::int8[]) claim (id, token),
  lateral (
    select from only hark.tasks r
    where r.id = claim.id and r.token = claim.token and r.cancel_requested_at is not null
    offset 0
  ) mine
