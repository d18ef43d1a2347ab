#!/bin/sh
# unreliable_download [source, target]: copies a file over a line that always breaks at the first attempt.
# Result: {"bytes": 1234, "attempts": 2}
set -eu
. "${0%/*}/json.sh"
read_arguments
source=$(argument 1) || exit
target=$(argument 2) || exit

if [ "$HARK_ATTEMPT" -eq 1 ]; then
  echo "connection reset by peer" >&2
  exit 75  # not now, try again: the task is retried after a pause
fi
cp -- "$source" "$target"
printf '{"bytes": %d, "attempts": %d}\n' "$(stat -c %s "$target")" "$HARK_ATTEMPT"
