# A drain may take longer than TimeoutStopSec=, and counts down; a drain that has used up its time gives the attempt back.
top='drain_timeout = "60s"' instance patient TimeoutStopSec=2s
systemctl start hark@patient
id=$(enqueue patient sleep_for '[6]')
runs "$id"
systemctl stop hark@patient &
await "the countdown" says patient "draining, 1 task may run for"
first=$(status patient | grep -o '[0-9]* s more' || true)
sleep 1.5
second=$(status patient | grep -o '[0-9]* s more' || true)
[ "${second%% *}" -lt "${first%% *}" ] || fail "the countdown went from $first to $second"
wait
expect "the result" "$(show patient Result)" success
expect "the task" "$(task "$id" "state || ' ' || attempt")" "completed 1"

top=$'drain_timeout = "1s"\nstop_grace = "1s"' instance capped
systemctl start hark@capped
id=$(enqueue capped sleep_for '[8003]')
runs "$id"
systemctl stop hark@capped
expect "the result" "$(show capped Result)" success
expect "the task" "$(task "$id" "state || ' ' || attempt")" "ready 0"
! pgrep -f 'sleep 8003' || fail "its process lives"

top='drain_timeout = "600s"' instance hasty
systemctl start hark@hasty
id=$(enqueue hasty sleep_for '[8004]')
runs "$id"
systemctl stop --no-block hark@hasty
await "the drain" says hasty draining
systemctl kill -s TERM --kill-whom=main hark@hasty
await "the end" is_state hasty inactive
expect "the task after the second SIGTERM" "$(task "$id" "state || ' ' || attempt")" "ready 0"
