pgtv snapshot save before.json
pg_dump -Fc -f renamed.dump
