# The database away at the start, away later, and back: starts wait, units stay active, nothing is lost.
server=postgresql@$(ls /etc/postgresql)-main
instance away TimeoutStartSec=2s
systemctl stop "$server"
systemctl start hark@away &
start=$!
await "its status" says away "starting: waiting for the database"
sleep 4
expect "the state after twice TimeoutStartSec=" "$(show away ActiveState)" activating
kill -0 "$start" || fail "systemctl start did not wait"
systemctl start "$server"
wait "$start" || fail "systemctl start failed"
expect "the state" "$(show away ActiveState)" active
await "its status" says away listening

id=$(enqueue away sleep_for '[3]')
runs "$id"
pid=$(main_pid away)
systemctl stop "$server"
await "its status" says away "degraded: waiting for the database"
sleep 4  # in which the function ends
systemctl start "$server"
await "its status" says away listening
finished "$id"
expect "attempts" "$(task "$id" attempt)" 1
expect "the process" "$(main_pid away)" "$pid"
expect "restarts" "$(show away NRestarts)" 0
systemctl restart "$server"
next=$(until enqueue away say 2> /dev/null; do sleep 0.1; done)
finished "$next"
systemctl stop hark@away
