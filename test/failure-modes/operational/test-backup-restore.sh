#!/bin/sh
# Mode 10: dumps and restores that leave something out.
#
# usage: test-backup-restore.sh [--image IMAGE | --dsn CONNINFO | --major MAJOR] [--keep] [-v]
#
# Exits 0 only when injection, detection, recovery and verification were all seen; 2 when one was not;
# 3 when nothing could run here.
set -eu
lib=$(dirname "$0")/../lib
. "$lib/simulate-failure.sh"
. "$lib/verify-recovery.sh"

simulate_failure backup-restore "$@"
verify_recovery
