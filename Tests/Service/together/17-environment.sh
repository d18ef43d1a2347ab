# The manager's sockets and the watchdog reach no task; it has a socket of its own. What the sandbox refuses is refused to it as well.
instance env WatchdogSec=20s
systemctl start hark@env
id=$(enqueue env environment)
finished "$id"
names=$(task "$id" "(select string_agg(split_part(e, '=', 1), ' ' order by e) from jsonb_array_elements_text(result) e)")
for name in WATCHDOG_PID WATCHDOG_USEC LISTEN_FDS LISTEN_PID JOURNAL_STREAM INVOCATION_ID CREDENTIALS_DIRECTORY HARK_DATABASE; do
  [[ " $names " != *" $name "* ]] || fail "a task sees $name"
done
socket=$(task "$id" "(select e from jsonb_array_elements_text(result) e where e like 'NOTIFY_SOCKET=%')")
[[ "$socket" == NOTIFY_SOCKET=@* ]] || fail "a task's socket is $socket"

id=$(enqueue env forbidden)
finished "$id"
expect "what the sandbox let through" "$(task "$id" result)" "[]"
expect "the functions' user" "$(stat -c %U "/var/lib/hark/allowed-$id")" hark
systemctl stop hark@env
