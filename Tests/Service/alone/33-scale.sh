# Four instances share 5,000 tasks, none run twice; stopping all under load, and starting them again, loses none.
for n in 11 12 13 14; do instance "$n"; sed -i 's/queues.1./queues.shared/' "/etc/hark/$n.toml"; done
systemctl enable --now hark@{11..14} 2> /dev/null
systemctl start hark.target
sql "insert into hark.tasks (queue, function) select 'shared', 'append' from generate_series(1, 5000)"
some() { [ "$(sql "select count(*) from hark.tasks where queue = 'shared' and state = 'completed'")" -gt 500 ]; }
await "the first five hundred" some
systemctl stop hark.target
for n in 11 12 13 14; do await "the end of hark@$n" is_state "$n" inactive; done
expect "what still runs after the stop" "$(sql "select count(*) from hark.tasks where queue = 'shared' and state = 'running'")" 0
expect "workers that have left a row" "$(sql "select count(*) from hark.workers where 'shared' = any(queues)")" 0
systemctl start hark.target
all() { [ "$(sql "select count(*) from hark.tasks where queue = 'shared' and state = 'completed'")" = 5000 ]; }
patience=120 await "all five thousand" all
expect "runs" "$(wc -l < /var/lib/hark/ran)" 5000
expect "tasks that ran" "$(sort -u /var/lib/hark/ran | wc -l)" 5000
for n in 11 12 13 14; do journal_has "$n" "append: completed" || fail "hark@$n has run none of them"; done
systemctl disable --now hark@{11..14} 2> /dev/null
