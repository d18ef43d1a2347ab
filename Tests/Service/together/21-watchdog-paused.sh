# A pause that is shorter than the watchdog's limit costs a worker nothing, however its timers stood.
for n in 1 2 3 4; do instance "paused$n" WatchdogSec=6s; done
systemctl start hark@paused{1..4}
for n in 1 2 3 4; do
  sleep 0.7
  systemctl kill -s STOP --kill-whom=main "hark@paused$n"
  ( sleep 2.8; systemctl kill -s CONT --kill-whom=main "hark@paused$n" ) &
done
wait
sleep 4
for n in 1 2 3 4; do
  expect "restarts of hark@paused$n" "$(show "paused$n" NRestarts)" 0
  ! journal_has "paused$n" "has not done what it was to do" || fail "hark@paused$n was in doubt of itself"
done
systemctl stop hark@paused{1..4}
