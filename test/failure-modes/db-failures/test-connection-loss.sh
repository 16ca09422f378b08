#!/bin/sh
# Mode 4: a client goes away, or the network.
#
# usage: test-connection-loss.sh [--image IMAGE | --dsn CONNINFO | --major MAJOR] [--keep] [-v]
#
# Exits 0 only when injection, detection, recovery and verification were all seen; 2 when one was not;
# 3 when nothing could run here.
set -eu
lib=$(dirname "$0")/../lib
. "$lib/simulate-failure.sh"
. "$lib/verify-recovery.sh"

simulate_failure connection-loss "$@"
verify_recovery
