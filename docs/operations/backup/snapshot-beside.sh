#!/bin/sh
# Store a snapshot of the database beside a backup, once the backup is there.
#
#   cron, pg_dump, pg_basebackup:  snapshot-beside.sh BACKUP
#   barman:                        post_backup_script = /etc/barman.d/snapshot-beside.sh
#   pgBackRest and others that keep backups where no file can lie beside them:
#                                  snapshot-beside.sh --dir FOLDER
#
# The database and login are libpq's: PGHOST, PGDATABASE, PGSERVICE, ~/.pgpass. Exits as pgtv does; a
# backup that failed gets no snapshot.
set -eu

if [ -n "${BARMAN_BACKUP_DIR:-}" ]; then
    [ "${BARMAN_PHASE:-}" = post ] && [ "${BARMAN_STATUS:-}" = DONE ] || exit 0
    # in the backup's own folder: it goes when barman lets the backup go
    exec pgtv snapshot save --beside "$BARMAN_BACKUP_DIR/data"
fi
case ${1:-} in
--dir)
    exec pgtv snapshot save --dir "${2:?a folder}" --keep "${PGTV_KEEP:-60}"
    ;;
'' | -*)
    echo "usage: snapshot-beside.sh BACKUP | --dir FOLDER" >&2
    exit 3
    ;;
*)
    exec pgtv snapshot save --beside "$1"
    ;;
esac
