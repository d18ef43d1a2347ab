#!/bin/sh
# checksum_folder [folder, manifest]: writes the SHA-256 of every file in the folder to the manifest, as sha256sum does.
# Result: {"files": 12, "bytes": 34567, "manifest": "..."}
set -eu
. "${0%/*}/json.sh"
read_arguments
folder=$(argument 1) || exit
manifest=$(argument 2) || exit

# Missing today may be there tomorrow: exit with any code but 0, 65 and 75, and the task is tried again.
[ -d "$folder" ] || { echo "there is no folder $folder" >&2; exit 1; }

# What is written is complete or not there: another attempt may follow at any moment.
(cd "$folder" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum --) > "$manifest.$HARK_TASK_ID"
mv "$manifest.$HARK_TASK_ID" "$manifest"

# stderr goes to the worker's log, with the task's number in front of it.
files=$(wc -l < "$manifest")
echo "checked $files files" >&2
bytes=$(find "$folder" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum }')
printf '{"files": %d, "bytes": %s, "manifest": %s}\n' "$files" "${bytes:-0}" "$(printf '%s\n' "$manifest" | quoted)"
