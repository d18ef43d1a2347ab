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

# Without the unit the same user may do all of it: so it is the sandbox that refuses.
install -d -m 1777 /run/open
install -d -m 755 /home/open
touch /home/open/file /tmp/of-the-others
all=$(grep -c '^try "' "$functions/forbidden")
expect "what goes through outside" "$(runuser -u hark -- env STATE=/tmp "$functions/forbidden" | tr -cd '"' | wc -c)" $((all * 2))
id=$(enqueue env forbidden)
finished "$id"
expect "what the sandbox let through" "$(task "$id" result)" "[]"
expect "the functions' user" "$(stat -c %U /var/lib/hark/allowed)" hark
systemctl stop hark@env
