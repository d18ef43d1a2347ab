#!/bin/sh
# interesting_calculation [a, b]: the power a ** b.
. "${0%/*}/json.sh"
read_arguments
a=$(argument 1) || exit
b=$(argument 2) || exit
# stdout is the result. A number is JSON already.
awk -v a="$a" -v b="$b" 'BEGIN { printf "%.0f\n", a ^ b }'
