# What the five steps share: settings, and how they stop. Read by them, not run.
#
# Needed: OLD_BIN, OLD_DATA, NEW_BIN, NEW_DATA (folders of programs and data), WORK (a folder for
# snapshots, receipts and records, which the upgrade must not touch). PGHOST, PGPORT, PGUSER reach the
# old server, and the new one once it has its place; PGUSER is the superuser that initdb made.
# AS        how server programs are run where you are not their user: AS='runuser -u postgres --'
# MODE      copy (default), clone or link
# START_OLD, STOP_OLD, START_NEW, STOP_NEW   e.g. 'systemctl start postgresql@17-main'; pg_ctl otherwise
# PRELOAD   the new server's shared_preload_libraries; pg_tviews otherwise
#
# A step exits 0 when it is done and checked itself, 1 when something has to be done first (nothing was
# changed), 2 when it failed, 3 when it could not be tried. Each can be run again.

step=$(basename "$0" .sh)
say() { printf '%s: %s\n' "$step" "$*"; }
stop() { # CODE TEXT…
    code=$1
    shift
    printf '%s: STOP: %s\n' "$step" "$*" >&2
    exit "$code"
}

for name in OLD_BIN OLD_DATA NEW_BIN NEW_DATA WORK PGUSER; do
    eval "value=\${$name:-}"
    [ -n "$value" ] || stop 3 "$name is not set; lib.sh tells what is needed"
done
MODE=${MODE:-copy}
PRELOAD=${PRELOAD:-pg_tviews}
AS=${AS:-}
START_OLD=${START_OLD:-'$AS "$OLD_BIN/pg_ctl" -D "$OLD_DATA" -l "$OLD_DATA/upgrade.log" -w start'}
STOP_OLD=${STOP_OLD:-'$AS "$OLD_BIN/pg_ctl" -D "$OLD_DATA" -m fast -w stop'}
START_NEW=${START_NEW:-'$AS "$NEW_BIN/pg_ctl" -D "$NEW_DATA" -l "$NEW_DATA/upgrade.log" -w start'}
STOP_NEW=${STOP_NEW:-'$AS "$NEW_BIN/pg_ctl" -D "$NEW_DATA" -m fast -w stop'}
export PGCTLTIMEOUT="${PGCTLTIMEOUT:-3600}" # pg_ctl and pg_upgrade wait a minute otherwise
# the extension's launcher can hold up the stop of a server that has just been started, as pg_upgrade does
NO_REFILL='-c pg_tviews.auto_rebuild_databases='
export PGDATABASE=${PGDATABASE:-postgres}
case $MODE in copy | clone | link) ;; *) stop 3 "MODE is copy, clone or link, not $MODE" ;; esac
case $WORK/ in
"$OLD_DATA"/* | "$NEW_DATA"/*) stop 3 "WORK lies in a data directory: put it elsewhere" ;;
esac
command -v pgtv >/dev/null || stop 3 "pgtv is not on PATH"
for program in "$OLD_BIN/pg_ctl" "$NEW_BIN/pg_ctl" "$NEW_BIN/pg_upgrade" "$NEW_BIN/psql"; do
    [ -x "$program" ] || stop 3 "$program is not there"
done
mkdir -p "$WORK" || stop 3 "cannot make $WORK"
work=$(cd "$WORK" && pwd)

major() { "$1/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/'; }
old_major=$(major "$OLD_BIN")
new_major=$(major "$NEW_BIN")

ask() { # DATABASE SQL: one value
    "$NEW_BIN/psql" -X -A -t -q -v ON_ERROR_STOP=1 -d "$1" -c "$2"
}
runs() { # MAJOR: whether the server that answers is of that release
    [ "$(ask postgres "SELECT current_setting('server_version_num')::int / 10000" 2>/dev/null)" = "$1" ]
}
each() { # COMMAND: with each database's name, as a word of the shell and as a file name
    number=0
    while IFS= read -r database; do
        number=$((number + 1))
        "$1" "$database" "$work/$number" </dev/null || exit $?
    done <"$work/databases"
}
after() { # STEP: that one has to be done
    [ -f "$work/$1.done" ] || stop 1 "run $1.sh first"
}
finish() { # TEXT…
    date -u +%Y-%m-%dT%H:%M:%SZ >"$work/$step.done"
    say "done: $*"
}
