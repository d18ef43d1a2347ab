#!/bin/sh
# compress_folder [folder, archive]: packs the folder into a .tar.gz.
# Result: {"bytes": 34567, "compressed": 9876, "archive": "..."}
set -eu
. "${0%/*}/json.sh"
read_arguments
folder=$(argument 1) || exit
archive=$(argument 2) || exit

[ -d "$folder" ] || { echo "there is no folder $folder" >&2; exit 1; }

tar -C "$folder" -czf "$archive.$HARK_TASK_ID" .
mv "$archive.$HARK_TASK_ID" "$archive"

bytes=$(find "$folder" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum }')
printf '{"bytes": %s, "compressed": %d, "archive": %s}\n' "${bytes:-0}" "$(stat -c %s "$archive")" "$(printf '%s\n' "$archive" | quoted)"
