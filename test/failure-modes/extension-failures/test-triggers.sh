#!/bin/sh
# Mode 8: triggers are disabled, dropped or bypassed.
#
# usage: test-triggers.sh [--image IMAGE | --dsn CONNINFO | --major MAJOR] [--keep] [-v]
#
# Exits 0 only when injection, detection, recovery and verification were all seen; 2 when one was not;
# 3 when nothing could run here.
set -eu
lib=$(dirname "$0")/../lib
. "$lib/simulate-failure.sh"
. "$lib/verify-recovery.sh"

simulate_failure triggers "$@"
verify_recovery
