-- Enters a worker and takes its session lock, in the session that runs this: the worker's signal connection. Called once
-- when a worker starts, and again when beat.sql or rejoin.sql says that its row is gone.
--
-- $1 text    name              $6 text    PID namespace
-- $2 text    hostname          $7 text    version
-- $3 int4    pid               $8 text    incarnation
-- $4 int8    start of the process, as the kernel counts      $9 text[]   queues
-- $5 text    boot id           $10 int4   slots
--
-- Returns id, and locked: false only if some stranger holds a lock of Hark's class; then roll back, and try again with the
-- next id. Run in a transaction, so that nobody sees a worker without its lock.
with me as (
  insert into hark.workers (name, hostname, pid, pid_start, boot_id, pid_namespace, version, incarnation, queues, slots)
  values ($1::text, $2::text, $3::int4, $4::int8, $5::text, $6::text, $7::text, $8::text, $9::text[], $10::int4)
  returning id
)
select me.id, pg_try_advisory_lock(hark.worker_class(), me.id) as locked from me
