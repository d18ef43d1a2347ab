# Four hundred executables at a time need more open files than the soft limit allows; their own soft limit is the ordinary one.
instance many
sed -i 's/^slots = 20/slots = 400/' /etc/hark/many.toml
systemctl start hark@many
sql "insert into hark.tasks (queue, function, args) select 'many', 'sleep_for', '[20]' from generate_series(1, 400)"
started() { [ "$(journal many | grep -c 'asleep')" = 400 ]; }
patience=60 await "four hundred at a time" started
expect "their limit" "$(grep 'open files' "/proc/$(pgrep -u hark -f '^sleep 20$' | head -n 1)/limits" | awk '{print $4}')" 1024
patience=90
all() { [ "$(sql "select count(*) from hark.tasks where queue = 'many' and state = 'completed' and attempt = 1")" = 400 ]; }
await "the end of all" all
expect "restarts" "$(show many NRestarts)" 0
systemctl stop hark@many
