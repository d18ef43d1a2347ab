# A loop that hangs gets no ping out: killed and started again. A function that runs for longer than the watchdog is left alone.
instance loop WatchdogSec=2s
systemctl start hark@loop
long=$(enqueue loop sleep_for '[5]')
finished "$long"
expect "restarts after a long function" "$(show loop NRestarts)" 0
again=$(enqueue loop sleep_for '[3]')
runs "$again"
freeze_thread "$(main_pid loop)" hark-loop
await "the restart" restarted loop
journalctl -q -u hark@loop -o cat | grep 'Watchdog timeout' > /dev/null || fail "the watchdog did not fire"
finished "$again"
expect "its attempts" "$(task "$again" attempt)" 2
systemctl stop hark@loop
