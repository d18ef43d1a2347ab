-- How far is a task? For whoever waits for its end.
--
-- $1 int8  id
--
-- Returns one row, or none: state, result (jsonb or null), error (the message of its last error, or null), and kind (that
-- error's kind). One probe of the primary key of each table; args and history of the task are not touched.
select t.state, t.result, t.errors -> -1 ->> 'message' as error, t.errors -> -1 ->> 'kind' as kind
from hark.tasks t
where t.id = $1::int8
