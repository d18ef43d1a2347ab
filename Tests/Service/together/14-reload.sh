# A reload changes slots, queues and functions under a running task; a bad file is refused with its reason.
instance reload
systemctl start hark@reload
id=$(enqueue reload sleep_for '[10]')
runs "$id"
pid=$(main_pid reload)
sed -i 's/^slots = 20/slots = 7/' /etc/hark/reload.toml
printf '\n[queues.reload_too]\nslots = 2\n\n[functions.new_one]\ncommand = ["/bin/echo", "7"]\n' >> /etc/hark/reload.toml
systemctl reload hark@reload
expect "the state after the reload" "$(show reload ActiveState)" active
slots() { [ "$(sql "select queues || ' ' || slots from (select array_to_string(queues, ',') queues, slots from hark.workers where name like '%/reload') w")" = "reload,reload_too 9" ]; }
await "the new slots in hark.workers" slots
new=$(enqueue reload_too new_one)
finished "$new"
in_state "$id" running || fail "the running task did not go on"

sed -i 's/^slots = 7/slots = many/' /etc/hark/reload.toml
systemctl reload hark@reload
refused() { [[ "$(status reload)" == *"not reloaded: /etc/hark/reload.toml:"* ]]; }
await "the reason in the status" refused
! journal_has reload "polling" || fail "a reload is told as if the listener had been lost"
journal_has reload "the configuration was not reloaded, everything stays as it was" || fail "the journal does not say so"
finished "$id"
expect "attempts of the task that ran through two reloads" "$(task "$id" attempt)" 1
newer=$(enqueue reload_too new_one)
finished "$newer"

sed -i 's/^slots = many/slots = 5/' /etc/hark/reload.toml
systemctl reload hark@reload
mended() { ! status reload | grep -q "not reloaded"; }
await "a mended file" mended
expect "the process" "$(main_pid reload)" "$pid"
systemctl stop hark@reload
