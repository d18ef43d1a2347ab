-- What a worker's session is set to, for one transaction: the first statement of each when the work connection goes
-- through a transaction pooler, where a SET would stay behind in somebody else's session. See SessionSetup for the reasons.
select set_config('hark.worker', 'on', true), set_config('search_path', 'pg_catalog', true), set_config('jit', 'off', true),
  set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true), set_config('lock_timeout', '20s', true)
