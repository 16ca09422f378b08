#!/bin/sh
# 2. Detach: from here on writes to tables of TVIEWs are refused; reading goes on.
set -eu
. "$(dirname "$0")/lib.sh"
after 01-before
runs "$old_major" || stop 3 "no server of PostgreSQL $old_major answers"

detach() {
    pgtv upgrade detach -d "$1" --snapshot "$2.json" --apply --receipt "$2.detach.$(date +%s).json" \
        >"$2.detach.log" 2>&1 || stop 2 "$1 was not detached: $(grep -v '^hint' "$2.detach.log" | tail -n 3 |
        tr '\n' ' ')"
    [ "$(ask "$1" "SELECT count(*) FROM pg_extension WHERE extname = 'pg_tviews'")" = 0 ] ||
        stop 2 "the extension is still in $1"
    # the snapshot is all that is left of the registrations: it has to be whole
    pgtv snapshot show "$2.json" >/dev/null 2>&1 || stop 2 "$2.json cannot be read: do not go on"
    pgtv preflight upgrade -d "$1" --to "$new_major" --before "$2.json" >"$2.detached" 2>&1 || :
    grep -q '^done .* detached:' "$2.detached" || stop 2 "$1 is not fenced: read $2.detached"
    grep -q '^done .* snapshot:' "$2.detached" || stop 2 "$2.json is of another database: read $2.detached"
    say "$1 is detached: $2.json"
}
each detach
finish "writes to what TVIEWs read are refused; next: 03-pg-upgrade.sh, or back.sh"
