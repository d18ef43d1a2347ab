# No process survives its task: not at its end, not at its timeout, not when it is cancelled, and none the unit.
instance tidy
systemctl start hark@tidy
left() { pgrep -f 'sleep 700[1-4]' | wc -l; }
none() { [ "$(left)" = 0 ]; }
id=$(enqueue tidy leave_daemons '[0]')
finished "$id"
none || fail "$(left) processes have survived the end of their task"

id=$(sql "insert into hark.tasks (queue, function, args, timeout, max_attempts) values ('tidy', 'leave_daemons', '[8005]', '1 second', 1) returning id")
await "the timeout" in_state "$id" failed
none || fail "$(left) processes have survived the timeout"
! pgrep -f 'sleep 8005' || fail "the function itself has"

id=$(enqueue tidy leave_daemons '[8006]')
await "its daemons" journal_has tidy "task $id leave_daemons | left"
hark cancel "$id" > /dev/null
await "the cancel" in_state "$id" cancelled
none || fail "$(left) processes have survived the cancel"

id=$(enqueue tidy leave_daemons '[8007]')
await "its daemons" journal_has tidy "task $id leave_daemons | left"
group=$(show tidy ControlGroup)
systemctl kill -s KILL --kill-whom=main hark@tidy
await "the restart" restarted tidy
await "its daemons again" journal_has tidy "task $id leave_daemons #2 | left"
top='drain_timeout = "0s"' instance tidy
systemctl reload hark@tidy
systemctl stop hark@tidy
none || fail "$(left) processes have survived the unit"
[ ! -e "/sys/fs/cgroup$group" ] || fail "the cgroup is still there"
