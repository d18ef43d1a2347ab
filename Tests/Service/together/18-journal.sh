# `journalctl HARK_TASK_ID=N` is the whole story of a task, each record with its fields.
instance book
systemctl start hark@book
id=$(enqueue book say)
finished "$id"
await "the records" journal_has book "task $id say: completed"
story=$(journalctl -q "HARK_TASK_ID=$id" -o cat)
expect "the story" "$(sed 's/completed in .*/completed/' <<< "$story")" "task $id say: started
task $id say | the first line
task $id say | the second line
task $id say: completed"
record=$(journalctl -q "HARK_TASK_ID=$id" HARK_EVENT=completed -o json)
field() { python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1" <<< "$record"; }
expect HARK_FUNCTION "$(field HARK_FUNCTION)" say
expect HARK_QUEUE "$(field HARK_QUEUE)" book
expect HARK_ATTEMPT "$(field HARK_ATTEMPT)" 1
expect HARK_WORKER "$(field HARK_WORKER)" box/book
expect HARK_INSTANCE "$(field HARK_INSTANCE)" book
expect SYSLOG_IDENTIFIER "$(field SYSLOG_IDENTIFIER)" hark
expect PRIORITY "$(field PRIORITY)" 6
expect "the unit" "$(field _SYSTEMD_UNIT)" hark@book.service
grep -q "^-- $(field MESSAGE_ID)$" systemd/hark.catalog || fail "MESSAGE_ID $(field MESSAGE_ID) is not in the catalogue"
journalctl -q -x "HARK_TASK_ID=$id" HARK_EVENT=completed | grep "A task was completed" > /dev/null || fail "journalctl -x does not explain it"
! journalctl -q -u hark@book | grep -i "thread priority" || fail "libdispatch complains"
systemctl stop hark@book
