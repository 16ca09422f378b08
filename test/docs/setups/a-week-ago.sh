# A snapshot as it would be from a week ago, taken elsewhere than on the server's host; rows came since.
psql -Xqc "ANALYZE"
pgtv snapshot save now.json
week=$(date -u -d '7 days ago' +%Y-%m-%dT%H:%M:%S+00:00)
sed -e "s/\"taken_at\": \"[^\"]*\"/\"taken_at\": \"$week\"/" -e 's/"data_free_bytes": [0-9]*/"data_free_bytes": null/' \
    now.json >a-week-ago.json
psql -Xqc "INSERT INTO public.tb_customer (name, email)
    SELECT 'New ' || g, g || '@example.com' FROM generate_series(1, 5000) g"
psql -Xqc "ANALYZE"
