# A journal that hangs holds up no worker.
instance mute WatchdogSec=3s
systemctl start hark@mute
journald=$(systemctl show -P MainPID systemd-journald)
kill -STOP "$journald"
sql "insert into hark.tasks (queue, function) select 'mute', 'say' from generate_series(1, 2000)"
all() { [ "$(sql "select count(*) from hark.tasks where queue = 'mute' and state = 'completed' and attempt = 1")" = 2000 ]; }
patience=90 await "all of them" all
kill -CONT "$journald"
expect "restarts" "$(show mute NRestarts)" 0
systemctl stop hark@mute
