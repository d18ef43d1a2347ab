#!/bin/sh
# report_from_csv [file]: what was sold of each product, from a file with the columns date,product,quantity,price.
# Result: [{"product": "Teapot", "quantity": 7, "revenue": 173.60}, ...], best sold first
set -eu
. "${0%/*}/json.sh"
read_arguments
file=$(argument 1) || exit

[ -r "$file" ] || { echo "$file cannot be read" >&2; exit 1; }

# A table of another shape will have it at the next attempt too: exit with 65, and the task fails at once.
[ "$(head -n 1 "$file")" = date,product,quantity,price ] || { echo "$file is not a table of orders" >&2; exit 65; }

awk -F, 'NR > 1 { quantity[$2] += $3; revenue[$2] += $3 * $4 } END { for (p in quantity) printf "%s,%d,%.2f\n", p, quantity[p], revenue[p] }' "$file" \
  | LC_ALL=C sort -t, -k3,3nr -k1,1 \
  | awk -F, '{ printf "%s{\"product\": \"%s\", \"quantity\": %d, \"revenue\": %s}", (NR > 1 ? ",\n " : "["), $1, $2, $3 } END { print (NR ? "]" : "[]") }'
