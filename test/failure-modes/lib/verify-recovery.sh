# verify_recovery: what was seen of each variant, from $report. Sourced after simulate-failure.sh.
#
# Exits 0 only when injection, detection, recovery and verification were all seen and no row was lost;
# 2 when something was not seen; 3 when nothing could run here, with the reason.

verify_recovery() {
    "${PYTHON:-python3}" - "$report" <<'PY'
import json
import sys

outcomes = json.load(open(sys.argv[1], encoding="utf-8"))["outcomes"]
SEEN = ("injected", "detected", "recovered", "verified")
bad = ran = 0
for o in outcomes:
    name = f"{o['mode']}/{o['variant']} ({o['provider']} {o['major'] or ''})".replace(" )", ")")
    if o["state"] == "skipped":
        print(f"SKIP {name}: {o['why']}")
        continue
    ran += 1
    missing = [what for what in SEEN if not o[what]]
    if o["rows_lost"] != 0:
        missing.append(f"no row lost (lost: {o['rows_lost']})")
    if missing or o["state"] != "passed":
        bad += 1
        print(f"FAIL {name}: not seen: {', '.join(missing) or 'passed'}: {o['why']}")
    else:
        print(f"PASS {name}: {', '.join(SEEN)}, no row lost")
if not ran:
    print("SKIP: nothing could run here" if outcomes else "FAIL: the report is empty")
sys.exit(2 if bad or not outcomes else 0 if ran else 3)
PY
}
