# SIGKILL: the manager ends what is left in the cgroup and starts the worker again, which gives the task back and runs it.
instance killed
systemctl start hark@killed
id=$(enqueue killed sleep_for '[8002]')
runs "$id"
await "the child" pgrep -f 'sleep 8002'
systemctl kill -s KILL --kill-whom=main hark@killed
await "the restart" restarted killed
second() { [ "$(task "$id" "state || ' ' || attempt")" = "running 2" ]; }
await "the second attempt" second
one() { [ "$(pgrep -cf 'sleep 8002')" = 1 ]; }
await "one child" one
systemctl stop hark@killed
