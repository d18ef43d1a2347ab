# Read by the functions beside it; not executable, and so not a function itself.
#
# A function is given its arguments on stdin, as JSON. Most languages have a JSON parser; a bare Debian's shell has none,
# and for a flat list of texts and numbers this is enough:
#
#   . "${0%/*}/json.sh"
#   read_arguments          # stdin: ["orders.csv", 3]
#   argument 1              # prints: orders.csv

# Keeps what stdin holds; exits with 65 (no further attempt is of use) unless it is a flat list.
read_arguments() {
  arguments=$(awk '
    function refuse(why) { print "the arguments are not a flat list of texts and numbers: " why > "/dev/stderr"; failed = 1; exit 65 }
    { text = text $0 "\n" }
    END {
      if (failed) exit 65
      gsub(/^[ \t\r\n]*\[|\][ \t\r\n]*$/, "", text)
      while (match(text, /[^ \t\r\n,]/)) {
        text = substr(text, RSTART)
        if (match(text, /^"([^"\\]|\\.)*"/)) {
          value = substr(text, 2, RLENGTH - 2)
          if (value ~ /\\[^"\\\/]/) refuse("an escape other than \\\" \\\\ \\/ in " value)
          plain = ""
          for (i = 1; i <= length(value); i++) {
            if (substr(value, i, 1) == "\\") i++
            plain = plain substr(value, i, 1)
          }
          print plain
        } else if (match(text, /^-?[0-9][0-9.eE+-]*/)) print substr(text, 1, RLENGTH)
        else refuse(text)
        text = substr(text, RLENGTH + 1)
      }
    }') || exit 65
}

# Prints the Nth argument; exits with 65 when there are not so many. Call it in an assignment of its own, as the script
# would otherwise not notice: file=$(argument 1) || exit
argument() {
  value=$(printf '%s\n' "$arguments" | sed -n "$1p")
  [ -n "$value" ] || { echo "argument $1 is missing" >&2; exit 65; }
  printf '%s\n' "$value"
}

# Prints stdin, one line, as a JSON text.
quoted() { sed 's/[\\"]/\\&/g; s/.*/"&"/'; }
