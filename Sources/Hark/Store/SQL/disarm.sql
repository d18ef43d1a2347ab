-- Disarms the bell: gives back every lock of a sleeper or a guard that this session holds, whether arm.sql went well or failed
-- half-way, and listens to inserts no more. Called on the signal connection when a worker wakes up.
--
-- $1 int4    worker's id
-- $2 text[]  all of its queues
-- $3 bool    it is awake with room, and guards its queues from now on
--
-- Returns one row, released: how many locks. The rules are hark.disarm's.
select hark.disarm($1::int4, $2::text[], $3::bool) as released
