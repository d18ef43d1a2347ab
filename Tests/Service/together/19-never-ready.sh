# A worker that hangs before it is ready is given up by the manager; its last status says what it was waiting for.
instance unready TimeoutStartSec=10s TimeoutStopSec=1s Restart=no
sed -i 's|postgresql:///hark|postgresql:///hark?host=/nowhere|' /etc/hark/unready.toml
systemctl start --no-block hark@unready
await "its first status" says unready "starting: waiting for the database (connection to server on socket"
freeze_thread "$(main_pid unready)" hark-loop
await "the timeout" is_state unready failed
expect "the result" "$(show unready Result)" timeout
has "its last status" "$(status unready)" "waiting for the database"
