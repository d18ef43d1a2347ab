-- The bell's bucket of each queue: the lock number for arm, quiet and disarm, and the channel hark_bell_<bucket>.
--
-- $1 text[]  queues
--
-- Returns queue and bucket (0 to 255); several queues may share one.
select q.queue, hark.bucket(q.queue) as bucket from unnest($1::text[]) q (queue)
