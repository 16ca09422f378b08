#!/bin/sh
# 1. Before: the new cluster, and everything that would stop the upgrade. The old server runs and is
# only looked at; run this days before, and again just before.
set -eu
. "$(dirname "$0")/lib.sh"

[ "$new_major" -gt "$old_major" ] || stop 3 "from PostgreSQL $old_major there is no upgrade to $new_major"
runs "$old_major" || stop 3 "no server of PostgreSQL $old_major answers at ${PGHOST:-localhost}"

# marks of the later steps go when all is well: until then they tell what was written, and where
rm -f "$work/01-before.done"

if [ ! -f "$NEW_DATA/PG_VERSION" ]; then
    sums=--no-data-checksums
    [ "$(ask postgres 'SHOW data_checksums')" = off ] || sums=--data-checksums
    say "initdb $NEW_DATA ($sums, as the old server)"
    # before 18 there was no option for what was the default then
    "$NEW_BIN/initdb" --help | grep -q no-data-checksums || [ "$sums" = --data-checksums ] || sums=
    # shellcheck disable=SC2086
    $AS "$NEW_BIN/initdb" -D "$NEW_DATA" -U "$PGUSER" $sums >"$work/initdb.log" 2>&1 ||
        stop 2 "initdb failed: $(tail -n 1 "$work/initdb.log")"
    echo "shared_preload_libraries = '$PRELOAD'" | $AS tee -a "$NEW_DATA/postgresql.conf" >/dev/null
fi

ask postgres "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname" >"$work/all"
while IFS= read -r database; do
    # begun anew, it would not be among the databases that 04-attach.sh and back.sh attach
    fences=$(ask "$database" "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgtv_fence'" </dev/null) ||
        stop 3 "cannot look into $database"
    [ "$fences" = 0 ] || stop 1 "$database is detached: go on with 02-detach.sh, or back.sh"
done <"$work/all"
: >"$work/databases"
while IFS= read -r database; do
    [ "$(ask "$database" "SELECT count(*) FROM pg_extension WHERE extname = 'pg_tviews'" </dev/null)" = 0 ] ||
        printf '%s\n' "$database" >>"$work/databases"
done <"$work/all"
[ -s "$work/databases" ] || stop 1 "no database has the extension: pg_upgrade needs none of this"

look() {
    say "database $1: every row is compared"
    pgtv verify -d "$1" >"$2.verify" 2>&1 ||
        stop 1 "rows of $1 are not right: pgtv refresh, or read $2.verify"
    rm -f "$2.seen.json" # of an earlier look: one that has other TVIEWs would not be replaced
    pgtv snapshot save "$2.seen.json" -d "$1" >/dev/null 2>&1 || stop 2 "no snapshot of $1 can be saved"
    pgtv preflight upgrade -d "$1" --to "$new_major" --new-bindir "$NEW_BIN" --new-datadir "$NEW_DATA" \
        --mode "$MODE" >"$2.preflight" 2>&1 || code=$?
    [ "${code:-0}" -le 3 ] || stop 2 "preflight failed: $(tail -n 1 "$2.preflight")"
    # what the next steps do, and what was done above
    left=$(grep -E '^(TO DO|UNKNOWN) ' "$2.preflight" | grep -vE ' (detached|other-databases|contents):' || :)
    [ -z "$left" ] || stop 1 "$1 is not ready: $(printf '%s' "$left" | sed 's/^TO DO *//; 1q') (all: $2.preflight)"
    grep -q '^done ' "$2.preflight" || stop 2 "preflight failed: $(tail -n 1 "$2.preflight")"
}
each look

say "pg_upgrade --check, beside the running server"
cd "$NEW_DATA/.." 2>/dev/null || cd /
$AS "$NEW_BIN/pg_upgrade" --check -b "$OLD_BIN" -B "$NEW_BIN" -d "$OLD_DATA" -D "$NEW_DATA" -U "$PGUSER" \
    -o "$NO_REFILL" -O "$NO_REFILL" "--$MODE" >"$work/check.log" 2>&1 ||
    stop 1 "pg_upgrade --check: $(tail -n 3 "$work/check.log" | tr '\n' ' ')"
rm -f "$work"/*.done "$work"/*.begun # a new beginning
finish "$(wc -l <"$work/databases" | tr -d ' ') database(s) are ready for PostgreSQL $new_major; next: 02-detach.sh"
