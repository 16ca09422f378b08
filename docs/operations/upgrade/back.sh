#!/bin/sh
# Back: the old server serves again, TVIEWs attached. What was written to the new one stays there, so not
# once 04-attach.sh has begun, unless --lose-writes says that those writes are given up.
set -eu
. "$(dirname "$0")/lib.sh"
[ -s "$work/databases" ] || stop 1 "nothing was begun: there is no $work/databases"

lose=
case ${1-} in
'') ;;
--lose-writes) lose=yes ;;
*) stop 3 "unknown: $1; back.sh takes --lose-writes or nothing" ;;
esac
# whether or not the new server runs now: what it was given lies in its files
begun=$work/04-attach.begun
if [ -e "$begun" ] && [ -z "$lose" ]; then
    since=$(sed 's/ .*//; 1q' "$begun")
    names=$(sed 's/^[^ ]* //' "$begun" | sort -u | paste -s -d , -)
    stop 1 "since $since 04-attach.sh lets writes into PostgreSQL $new_major at $NEW_DATA (databases: $names)," \
        "which the old server does not have: go on with 04-attach.sh, or give them up: back.sh --lose-writes"
fi

if runs "$new_major"; then
    [ ! -f "$OLD_DATA/global/pg_control.old" ] ||
        stop 1 "the new server ran on files that --link shares with the old one: there is no way back"
    say "stopping PostgreSQL $new_major"
    eval "$STOP_NEW" >"$work/stop.log" 2>&1 || stop 2 "the new server did not stop: $(tail -n 1 "$work/stop.log")"
fi
if ! runs "$old_major"; then
    if [ -f "$OLD_DATA/global/pg_control.old" ]; then
        stop 1 "--link or --swap had begun: pgtv preflight upgrade --log $NEW_DATA tells whether there is a way back"
    fi
    eval "$START_OLD" >"$work/start.log" 2>&1 || stop 2 "the old server did not start: $(tail -n 1 "$work/start.log")"
    runs "$old_major" || stop 2 "PostgreSQL $old_major does not answer"
fi

attach() {
    [ -f "$2.json" ] || return 0 # it was never detached
    code=0
    pgtv upgrade attach -d "$1" --from "$2.json" --apply --receipt "$2.back.$(date +%s).json" \
        >"$2.back.log" 2>&1 || code=$?
    [ "$code" = 0 ] || stop 2 "$1 is not as before (exit $code): read $2.back.log"
    say "$1 is attached: $(grep -o '[0-9]* TVIEWs compared.*' "$2.back.log" | tail -n 1)"
}
each attach
rm -f "$work"/*.done "$work"/*.begun
say "done: PostgreSQL $old_major serves, writes are let in${lose:+; what PostgreSQL $new_major was given is in $NEW_DATA}"
