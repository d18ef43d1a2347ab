-- The bell's bucket of each queue, for the channels hark_bell_<bucket> that a worker listens on. Called once for each signal
-- connection.
--
-- $1 text[]  queues
--
-- Returns queue and bucket (0 to 255); several queues may share one.
select q.queue, hark.bucket(q.queue) as bucket from unnest($1::text[]) q (queue)
