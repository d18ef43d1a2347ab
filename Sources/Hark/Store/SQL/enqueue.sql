-- Enqueues one task. For the command line; applications write their own INSERT.
--
-- $1 text    function                        $6 text     run at: a time, as PostgreSQL reads it ('tomorrow 09:00')
-- $2 jsonb   args                            $7 text     unique_key
-- $3 text    queue                           $8 int2     max_attempts
-- $4 int2    priority                        $9 float8   timeout, seconds
-- $5 float8  delay, seconds (if $6 is null)
--
-- Everything but the function may be null, for the default. Returns id and enqueued; when another unfinished task has the
-- unique_key, that one's id and false. (No row: it had the key a moment ago and is gone; run the statement again.)
with mine as (
  insert into hark.tasks (function, args, queue, priority, run_at, unique_key, max_attempts, timeout)
  values ($1::text, $2::jsonb, $3::text, $4::int2,
    coalesce($6::text::timestamptz, now() + make_interval(secs => $5::float8)),
    $7::text, $8::int2, make_interval(secs => $9::float8))
  on conflict (unique_key) where unique_key is not null do nothing
  returning id
)
select id, true as enqueued from mine
union all
select t.id, false from only hark.tasks t
where t.unique_key = $7::text and not exists (select from mine)
