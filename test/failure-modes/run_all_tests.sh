#!/bin/sh
# All failure modes: prints the matrix and writes it as JUnit XML, JSON and HTML.
#
# usage: run_all_tests.sh [--output FOLDER] [--image IMAGE | --dsn CONNINFO | --major MAJOR…] [--keep] [-v]
#
# Servers are local ones, and containers for what these cannot do, where the image of tools/make-image is
# here; with --image all in containers of it, with --dsn in databases on an existing server.
#
#   --output FOLDER   where drills.json, drills.xml and drills.html go (default: ./drill-results)
#
# Exits 0 only when all that could run passed; 2 when something failed; 3 when nothing could run.
set -eu
lib=$(dirname "$0")/lib
. "$lib/simulate-failure.sh"

output=drill-results
where='--provider both'
left=$#
while [ "$left" -gt 0 ]; do # what is not for this script goes to the end, in the order that it had
    left=$((left - 1))
    case $1 in
    -h | --help)
        sed -n '2,11s/^# \{0,1\}//p' "$0"
        exit
        ;;
    --output=*)
        output=${1#--output=}
        ;;
    --output)
        if [ "$left" -eq 0 ]; then
            echo "$0: a folder is needed after --output" >&2
            exit 2
        fi
        output=$2
        left=$((left - 1))
        shift
        ;;
    *)
        case $1 in --image | --image=* | --dsn | --dsn=* | --provider | --provider=*) where= ;; esac
        set -- "$@" "$1"
        ;;
    esac
    shift
done
mkdir -p "$output"
code=0
# shellcheck disable=SC2086 # two words, or none
run_pgtv drill run "$@" --json "$output/drills.json" --junit "$output/drills.xml" \
    --html "$output/drills.html" $where || code=$?
echo "reports: $output/drills.json $output/drills.xml $output/drills.html"
exit "$code"
