#!/bin/sh
# 4. Attach: TVIEWs, triggers and grants are back, writes are let in, then every row is compared.
set -eu
. "$(dirname "$0")/lib.sh"
after 03-pg-upgrade
runs "$new_major" || stop 3 "PostgreSQL $new_major does not answer"

attach() {
    # first, and once a database: from here on writes may be let in, whatever becomes of this step
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >>"$work/$step.begun" ||
        stop 2 "cannot write $work/$step.begun: $1 is not attached"
    code=0
    pgtv upgrade attach -d "$1" --from "$2.json" --apply --receipt "$2.attach.$(date +%s).json" \
        >"$2.attach.log" 2>&1 || code=$?
    [ "$code" -le 1 ] || stop 2 "$1 is not attached: $(tail -n 3 "$2.attach.log" | tr '\n' ' ')(all: $2.attach.log)"
    [ "$(ask "$1" "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgtv_fence'")" = 0 ] ||
        stop 2 "writes are still refused in $1: read $2.attach.log"
    say "$1: $(grep -o '[0-9]* TVIEWs compared.*' "$2.attach.log" | tail -n 1)"
}
each attach
finish "writes are let in; next: 05-after.sh"
