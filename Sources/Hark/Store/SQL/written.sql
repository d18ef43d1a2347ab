-- Which of these outcomes have reached history? When the connection breaks while a write is under way, its fate is
-- unknown; the token stays with the finished row and tells. Called after reconnecting, for outcomes that held.sql does
-- not return.
--
-- $1 int8[]  ids
-- $2 int8[]  tokens of their claims
--
-- Returns id and state of those that are finished under this claim. One probe of the primary key each.
select claim.id, done.state
from unnest($1::int8[], $2::int8[]) claim (id, token),
  lateral (select f.state from hark.tasks_finished f where f.id = claim.id and f.token = claim.token offset 0) done
