#!/bin/sh
# 5. After: statistics, everything held against the snapshot of before, and doctor.
set -eu
. "$(dirname "$0")/lib.sh"
after 04-attach
runs "$new_major" || stop 3 "PostgreSQL $new_major does not answer"

say "statistics of all databases"
"$NEW_BIN/vacuumdb" --all --analyze-only >"$work/analyze.log" 2>&1 ||
    stop 2 "vacuumdb: $(tail -n 1 "$work/analyze.log")"

compare() {
    code=0
    pgtv upgrade verify -d "$1" --before "$2.json" >"$2.after" 2>&1 || code=$?
    [ "$code" = 0 ] || stop 2 "$1 is not as before (exit $code): read $2.after"
    code=0
    pgtv doctor -d "$1" -q --only installation --only metadata --only triggers >"$2.doctor" 2>&1 || code=$?
    [ "$code" != 2 ] || stop 2 "doctor: $(head -n 1 "$2.doctor") (all: $2.doctor)"
    say "$1 is as before, every row compared"
}
each compare
finish "PostgreSQL $new_major serves. Left for you: a backup, standbys made anew, then delete_old_cluster.sh"
