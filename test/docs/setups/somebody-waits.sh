psql -Xqc "UPDATE public.tb_customer SET name = 'waits' WHERE pk_customer = 1" </dev/null >/dev/null 2>&1 &
until [ "$(psql -XAtc "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND now() - state_change > interval '1 second'")" = 1 ]; do sleep 0.1; done
