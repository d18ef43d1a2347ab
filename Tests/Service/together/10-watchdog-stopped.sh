# A worker that hangs (SIGSTOP) is killed by the watchdog and started again; its task runs again, and nothing of the old attempt does.
instance stopped WatchdogSec=2s
systemctl start hark@stopped
id=$(enqueue stopped sleep_for '[8001]')
runs "$id"
await "the child" pgrep -f 'sleep 8001'
child=$(pgrep -f 'sleep 8001')
systemctl kill -s STOP --kill-whom=main hark@stopped
await "the restart" restarted stopped
journalctl -q -u hark@stopped -o cat | grep 'Watchdog timeout' > /dev/null || fail "the watchdog did not fire"
second() { [ "$(task "$id" "state || ' ' || attempt")" = "running 2" ]; }
await "the second attempt" second
[ ! -e "/proc/$child" ] || fail "the first attempt's process lives"
expect "the error on record" "$(task "$id" "errors -> 0 ->> 'kind'")" lost
systemctl stop hark@stopped
