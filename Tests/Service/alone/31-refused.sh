# A database that takes no writes, or has no room: degraded, not dead, and the outcomes are written when it is over.
instance refused
systemctl start hark@refused
id=$(enqueue refused sleep_for '[2]')
runs "$id"
sql "alter system set default_transaction_read_only = on" && sql "select pg_reload_conf()" > /dev/null
await "its status" says refused "degraded: the database refuses writes (cannot execute"
PGOPTIONS='-c default_transaction_read_only=off' sql "alter system reset default_transaction_read_only"
sql "select pg_reload_conf()" > /dev/null
await "its status" says refused listening
finished "$id"
expect "attempts" "$(task "$id" attempt)" 1

mkdir /run/small
mount -t tmpfs -o size=24M none /run/small
install -d -o postgres /run/small/space
sql "create tablespace small location '/run/small/space'"
sql "alter table hark.tasks set tablespace small"
for table in $(sql "select inhrelid::regclass from pg_inherits where inhparent = 'hark.tasks'::regclass"); do sql "alter table $table set tablespace small"; done
id=$(enqueue refused large_result)
next() { fill=$(df --output=avail -k /run/small | tail -n 1); [ "$fill" -lt 64 ] || dd if=/dev/zero of=/run/small/ballast bs=1k count=$((fill - 32)) status=none; }
next
finished "$id" & waiting=$!
await "its status" says refused "degraded: the database refuses writes (could not extend file"
in_state "$id" running || fail "the task is not running"
rm /run/small/ballast
wait "$waiting" || fail "the task did not finish once there was room"
await "its status" says refused listening
expect "attempts" "$(task "$id" attempt)" 1
expect "restarts" "$(show refused NRestarts)" 0
for table in hark.tasks $(sql "select inhrelid::regclass from pg_inherits where inhparent = 'hark.tasks'::regclass"); do sql "alter table $table set tablespace pg_default"; done
systemctl stop hark@refused
