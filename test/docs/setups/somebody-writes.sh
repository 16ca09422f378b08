# A session of an application that is connected and writes now and then.
psql -Xqc "SELECT pg_sleep(600)" </dev/null >/dev/null 2>&1 &
until [ "$(psql -XAtc "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query ~ '^SELECT pg_sleep'")" = 1 ]; do sleep 0.1; done
