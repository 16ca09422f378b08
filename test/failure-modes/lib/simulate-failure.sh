# simulate_failure MODE [ARGUMENT…]: provoke one failure mode on throwaway servers, for the scripts.
#
# Sourced, with $lib set to this folder. Runs `pgtv drill run MODE` with the script's own arguments and leaves its report in $report.
# Nothing that is not made for it is touched, and nothing is left behind.

root=$(cd "$lib/../../.." && pwd)
report=$(mktemp "${TMPDIR:-/tmp}/pgtv-drill.XXXXXX")
trap 'rm -f "$report"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run_pgtv ARGUMENT…: the pgtv of $PGTV, of PATH, or of this checkout
run_pgtv() {
    if [ -n "${PGTV:-}" ]; then
        "$PGTV" "$@"
    elif command -v pgtv >/dev/null 2>&1; then
        pgtv "$@"
    else
        PYTHONPATH=$root "${PYTHON:-python3}" -m pgtv "$@"
    fi
}

simulate_failure() {
    case " $* " in *" --help "* | *" -h "*)
        echo "usage: $0 [--image IMAGE | --dsn CONNINFO | --major MAJOR] [--keep] [-v]"
        echo "Provokes the failure mode $1 on throwaway servers; see: pgtv drill run --help"
        exit 0
        ;;
    esac
    code=0
    run_pgtv drill run "$@" --json "$report" || code=$?
    case $code in
    0 | 2 | 3) ;; # passed, failed, nothing could run: the report tells
    *) exit "$code" ;;
    esac
    if [ ! -s "$report" ]; then
        if [ "$code" -eq 3 ]; then
            echo "SKIP $1: it could not run here, see above"
            exit 3
        fi
        echo "FAIL $1: pgtv drill wrote no report (it exited $code)"
        exit 2
    fi
}
