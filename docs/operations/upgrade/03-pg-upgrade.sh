#!/bin/sh
# 3. pg_upgrade: the old server is stopped, the new one is started. When it dies, it says which to start.
set -eu
. "$(dirname "$0")/lib.sh"
after 02-detach
if runs "$new_major"; then
    finish "PostgreSQL $new_major answers already; next: 04-attach.sh"
    exit 0
fi

if runs "$old_major"; then
    gone() {
        [ "$(ask "$1" "SELECT count(*) FROM pg_extension WHERE extname = 'pg_tviews'")" = 0 ] ||
            stop 1 "$1 has the extension again: run 02-detach.sh"
    }
    each gone
    [ "$(ask postgres 'SELECT count(*) FROM pg_prepared_xacts')" = 0 ] ||
        stop 1 "transactions are prepared: pgtv 2pc list"
    say "stopping PostgreSQL $old_major"
    eval "$STOP_OLD" >"$work/stop.log" 2>&1 || stop 2 "the old server did not stop: $(tail -n 1 "$work/stop.log")"
fi
[ ! -f "$OLD_DATA/postmaster.pid" ] || stop 2 "the old server still runs, or crashed: $OLD_DATA/postmaster.pid"

say "pg_upgrade --$MODE; what it says: $work/pg_upgrade.log"
cd "$NEW_DATA/.." 2>/dev/null || cd /
if ! $AS "$NEW_BIN/pg_upgrade" -b "$OLD_BIN" -B "$NEW_BIN" -d "$OLD_DATA" -D "$NEW_DATA" -U "$PGUSER" \
    -o "$NO_REFILL" -O "$NO_REFILL" "--$MODE" >"$work/pg_upgrade.log" 2>&1; then
    logs=$work/pg_upgrade.log
    [ ! -d "$NEW_DATA/pg_upgrade_output.d" ] || logs=$NEW_DATA
    pgtv preflight upgrade --log "$logs" || :
    stop 2 "pg_upgrade died; what to do now is above"
fi
say "starting PostgreSQL $new_major"
eval "$START_NEW" >"$work/start.log" 2>&1 || stop 2 "the new server did not start: $(tail -n 1 "$work/start.log")"
runs "$new_major" || stop 2 "PostgreSQL $new_major does not answer at ${PGHOST:-localhost}"
finish "PostgreSQL $new_major runs; next: 04-attach.sh"
