-- Waits for the locks that arm.sql could not have. Called on the signal connection, which hears nothing meanwhile; what is inserted
-- meanwhile rings.
--
-- $1 int4[]  buckets
-- $2 int4    milliseconds
--
-- Returns one row, answer: had, now it may sleep, if one more claim finds nothing; blocked, not yet; taken, another worker was first:
-- arm anew.
select hark.await_sleep($1::int4[], $2::int4 * interval '1 millisecond') as answer
