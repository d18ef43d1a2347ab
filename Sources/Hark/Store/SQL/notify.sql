-- Sends a notification: a worker's proof to itself that its listener hears. Called about twice a minute when idle.
--
-- $1 text  channel
-- $2 text  payload
select pg_notify($1::text, $2::text)
