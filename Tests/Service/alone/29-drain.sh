# A drain may take longer than TimeoutStopSec=, and counts down; one that has used up its time gives the attempt back, and so does a second SIGTERM.
# (A daemon-reload makes systemd forget that more time was asked for. So these run alone.)
top='drain_timeout = "60s"' instance patient TimeoutStopSec=2s
top=$'drain_timeout = "1s"\nstop_grace = "1s"' instance capped
top='drain_timeout = "600s"' instance hasty
systemctl start hark@{patient,capped,hasty}
patient=$(enqueue patient sleep_for '[8]') capped=$(enqueue capped sleep_for '[8003]') hasty=$(enqueue hasty sleep_for '[8004]')
for id in "$patient" "$capped" "$hasty"; do runs "$id"; done

systemctl stop --no-block hark@patient
left() { status patient | sed -n 's/^patient: draining, 1 task may run for \([0-9]*\) s more$/\1/p'; }
counts() { [ -n "$(left)" ]; }
await "the countdown" counts
first=$(left)
lower() { [ "$(left)" -lt "$first" ]; }
await "a lower number than $first" lower

systemctl stop hark@capped
expect "the result" "$(show capped Result)" success
expect "the task" "$(task "$capped" "state || ' ' || attempt")" "ready 0"
! pgrep -f 'sleep 8003' || fail "its process lives"

systemctl stop --no-block hark@hasty
await "the drain" says hasty draining
systemctl kill -s TERM --kill-whom=main hark@hasty
await "the end" is_state hasty inactive
expect "the task after the second SIGTERM" "$(task "$hasty" "state || ' ' || attempt")" "ready 0"

await "the end of the drain" is_state patient inactive
expect "the result" "$(show patient Result)" success
expect "the task" "$(task "$patient" "state || ' ' || attempt")" "completed 1"
