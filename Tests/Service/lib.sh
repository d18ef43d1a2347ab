# What every scenario has at hand. Runs in the container, as root.
set -euo pipefail
cd /hark
export HARK_DATABASE=postgresql:///hark
functions=/usr/local/lib/hark/functions

fail() { echo "FAILED: $*" >&2; exit 1; }
# Polls a condition, since a shell has nothing better; for $patience seconds at most.
await() {
  local what=$1 deadline=$((SECONDS + ${patience:-30}))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for $what"
    sleep 0.1
  done
}
expect() { [ "$2" = "$3" ] || fail "$1 is “$2”, and not “$3”"; }
has() { [[ "$2" == *"$3"* ]] || fail "$1 is “$2”, which has no “$3”"; }

sql() { psql -XAtq -v ON_ERROR_STOP=1 -d hark -c "$1"; }
enqueue() { sql "insert into hark.tasks (queue, function, args) values ('$1', '$2', '${3:-[]}') returning id"; }
task() { sql "select $2 from hark.tasks where id = $1"; }
in_state() { [ "$(task "$1" state)" = "$2" ]; }
finished() { await "the end of task $1" in_state "$1" completed; }
runs() { await "the start of task $1" in_state "$1" running; }

# An instance with a configuration and a queue of its own, both called NAME. The rest are lines for [Service] of a drop-in;
# $top are further lines of its file.
instance() {
  local name=$1
  shift
  printf 'database = "postgresql:///hark"\nfunctions_directory = "%s"\n%s\n[queues.%s]\nslots = 20\n' "$functions" "${top:-}" "$name" > "/etc/hark/$name.toml"
  drop_in "$name" "$@"
}
drop_in() {
  local directory=/etc/systemd/system/hark@$1.service.d
  shift
  mkdir -p "$directory"
  { echo '[Service]'; printf '%s\n' 'RestartSec=100ms' "$@"; } > "$directory/test.conf"
  systemctl daemon-reload
}
show() { systemctl show -P "$2" "hark@$1"; }
status() { show "$1" StatusText; }
says() { [[ "$(status "$1")" == "$1: $2"* ]]; }
main_pid() { show "$1" MainPID; }
is_state() { [ "$(show "$1" ActiveState)" = "$2" ]; }
restarted() { [ "$(show "$1" NRestarts)" -ge "${2:-1}" ] && is_state "$1" active; }
journal() { journalctl -q -u "hark@$1" -o cat; }
# Not grep -q, which would end before journalctl, and with it the pipe.
journal_has() { journal "$1" | grep -F -- "$2" > /dev/null; }

# Stops one thread of a process until the process has ended, or this shell does: how a loop hangs.
freeze_thread() {
  local pid=$1 name=$2 thread
  for thread in "/proc/$pid/task"/*; do
    [ "$(cat "$thread/comm")" = "$name" ] || continue
    python3 /hark/Tests/Service/freeze.py "${thread##*/}" &
    return
  done
  fail "process $pid has no thread $name"
}
