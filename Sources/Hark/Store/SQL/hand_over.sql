-- Hands over: another worker is to see to the queues of this one, which was a guard and is full or leaves. Called on the signal
-- connection.
--
-- $1 int4    worker's id
-- $2 text[]  its queues
-- $3 bool    it still holds GUARD
--
-- Returns one row. The rules are hark.hand_over's.
select hark.hand_over($1::int4, $2::text[], $3::bool)::text as handed
