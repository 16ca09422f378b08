-- The lab: a stand-in for the extension, in PL/pgSQL, for the demo and for fast tests.
--
-- It shows the surface that pgtv reads (schema tviews, catalog, registry, triggers, functions) on any
-- PostgreSQL from 15 on, without a compiler. It is simple and slow: a statement that writes a base
-- table has every TVIEW that reads the table compared with its whole definition. NEVER use it in
-- production, and never install it beside the real extension; it refuses.
--
-- What it leaves out: CREATE TABLE tv_… AS, suspension, options other than `logged` and `fillfactor`,
-- refusal of definitions, triggers on partitions attached later (re-register the TVIEW), and the
-- refusal to commit what no flush trigger has flushed. How a table is read is guessed from column
-- names (see lab_kind), not derived from the definition.
--
-- Rights: what a caller wrote runs as the caller, or as the owner of the TVIEW; only functions that
-- hold no text of a user run as the role that installed the lab.
--
-- Run as a superuser, by psql or by a driver, in an empty database. To remove it: drop the TVIEWs,
-- then DROP SCHEMA tviews CASCADE.

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'pg_tviews')
       OR pg_catalog.current_setting('shared_preload_libraries') ~ '\mpg_tviews\M' THEN
        RAISE EXCEPTION 'the lab does not install beside the real extension'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'The real extension does all that the lab imitates. Use it.';
    END IF;
    IF pg_catalog.current_setting('server_version_num')::int < 150000 THEN
        RAISE EXCEPTION 'the lab needs PostgreSQL 15 or later' USING ERRCODE = 'feature_not_supported';
    END IF;
END $$;

BEGIN;
CREATE SCHEMA tviews;
COMMENT ON SCHEMA tviews IS 'pgtv lab: stand-in for demonstrations and tests, never for production';
GRANT USAGE ON SCHEMA tviews TO PUBLIC;

-- Catalog ------------------------------------------------------------------------------------------

CREATE TABLE tviews.pg_tview_meta (
    entity text PRIMARY KEY,
    view_oid regclass NOT NULL,
    table_oid regclass NOT NULL,
    definition text NOT NULL,
    plan jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    graphql_typename text,
    group_keys jsonb,
    needs_reregister boolean NOT NULL DEFAULT false,
    uncascaded_oids regclass[] NOT NULL DEFAULT '{}',
    uncascaded_policy text NOT NULL DEFAULT 'error'
        CHECK (uncascaded_policy IN ('warn', 'error', 'full_refresh')),
    identity jsonb,
    uncascaded_table_oids regclass[] NOT NULL DEFAULT '{}',
    uncascaded_table_policies text[] NOT NULL DEFAULT '{}',
    function_read_functions text[] NOT NULL DEFAULT '{}',
    function_read_tables regclass[] NOT NULL DEFAULT '{}',
    time_refresh text CHECK (time_refresh = 'external'),
    time_dependent boolean NOT NULL DEFAULT false,
    managed_index_names text[] NOT NULL DEFAULT '{}',
    declared_indexes jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX ON tviews.pg_tview_meta (table_oid);
CREATE UNLOGGED TABLE tviews.pg_tview_valid (entity text PRIMARY KEY);
CREATE TABLE tviews.pg_tview_audit_log (
    log_id bigserial PRIMARY KEY,
    operation text NOT NULL,
    entity text NOT NULL,
    performed_by text NOT NULL DEFAULT CURRENT_USER,
    performed_at timestamptz NOT NULL DEFAULT now(),
    transaction_id bigint DEFAULT pg_current_xact_id()::text::bigint,
    rows_affected bigint,
    details jsonb,
    client_addr inet DEFAULT inet_client_addr(),
    client_port integer DEFAULT inet_client_port()
);
GRANT SELECT ON tviews.pg_tview_meta, tviews.pg_tview_valid TO PUBLIC;

CREATE FUNCTION tviews.pg_tviews_catalog_revision() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 10';
CREATE FUNCTION tviews.contract_version() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT 2';
CREATE FUNCTION tviews.pg_tviews_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$SELECT 'lab'$$;

-- The real extension re-resolves names at a restore and tells other sessions of changes here. The lab
-- keeps nothing in memory, so the triggers are there for their looks.
CREATE FUNCTION tviews.pg_tviews_meta_rebind() RETURNS trigger
    LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION tviews.pg_tviews_meta_changed() RETURNS trigger
    LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER pg_tview_meta_rebind BEFORE INSERT ON tviews.pg_tview_meta
    FOR EACH ROW EXECUTE FUNCTION tviews.pg_tviews_meta_rebind();
CREATE TRIGGER pg_tview_meta_changed
    AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON tviews.pg_tview_meta
    FOR EACH STATEMENT EXECUTE FUNCTION tviews.pg_tviews_meta_changed();

CREATE VIEW tviews.registry AS
SELECT n.nspname::text AS schema, c.relname::text AS name, m.entity, m.definition AS query,
       jsonb_build_object(
           'logged', c.relpersistence = 'p', 'indexes', m.declared_indexes, 'typename', NULL,
           'fillfactor', (SELECT split_part(o, '=', 2)::int FROM unnest(c.reloptions) o
                          WHERE o LIKE 'fillfactor=%'),
           'group_keys', m.group_keys, 'data_storage', NULL, 'time_refresh', m.time_refresh,
           'data_gin_index', false, 'function_reads', '{}'::jsonb, 'data_compression', NULL,
           'uncascaded_policy', m.uncascaded_policy, 'uncascaded_tables', '{}'::jsonb,
           'toast_tuple_target', NULL) AS options,
       (SELECT v.oid FROM pg_class v WHERE v.oid = m.view_oid)::regclass AS view,
       ARRAY(SELECT k->>'name' FROM jsonb_array_elements(m.identity->'columns') k) AS identity,
       ARRAY(SELECT (t->>'relid')::oid::regclass FROM jsonb_array_elements(m.plan->'tables') t
             ORDER BY (t->>'relid')::oid::regclass::text) AS base_tables,
       COALESCE((SELECT jsonb_object_agg((t->>'relid')::oid::regclass::text, t->>'kind')
                 FROM jsonb_array_elements(m.plan->'tables') t), '{}') AS cascade_kinds,
       m.uncascaded_oids AS uncascaded_tables, m.time_dependent,
       ARRAY(SELECT to_regclass(format('%I.%I', n.nspname, i))
             FROM unnest(m.managed_index_names) i) AS managed_indexes,
       m.needs_reregister, '{}'::jsonb AS "references",
       replace(initcap(replace(m.entity, '_', ' ')), ' ', '') AS typename
FROM tviews.pg_tview_meta m
LEFT JOIN pg_class c ON c.oid = m.table_oid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace;

-- Nothing is counted, and `untracked` says so.
CREATE VIEW tviews.stats AS
SELECT schema, name, entity, 0::bigint AS view_recomputes, 0::bigint AS noop_skipped,
       0::bigint AS patch_captured, 0::bigint AS patch_applied, 0::bigint AS patch_fallbacks,
       0::bigint AS propagation_pruned, 0::bigint AS rows_written, 0::bigint AS rows_deleted,
       0::bigint AS full_refreshes, 0::float8 AS refresh_ms, NULL::timestamptz AS stats_reset,
       true AS untracked
FROM tviews.registry;
GRANT SELECT ON tviews.registry, tviews.stats TO PUBLIC;

-- What a TVIEW reads -------------------------------------------------------------------------------

-- Relations that a view reads, through plain views; it stops at materialized views, as the real one.
CREATE FUNCTION tviews.lab_reads(view_id oid)
    RETURNS TABLE (relid oid, relkind "char", attnums smallint[], columns text[])
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE direct(reader, relid, attnum) AS (
        SELECT w.ev_class, d.refobjid, d.refobjsubid
        FROM pg_rewrite w
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
    ), reached(relid, attnum) AS (
        SELECT relid, attnum FROM direct WHERE reader = view_id
        UNION
        SELECT d.relid, d.attnum FROM reached r JOIN direct d ON d.reader = r.relid
        WHERE (SELECT c.relkind FROM pg_class c WHERE c.oid = r.relid) = 'v'
    )
    SELECT c.oid, c.relkind,
           COALESCE(array_agg(a.attnum ORDER BY a.attnum) FILTER (WHERE a.attnum > 0), '{}'),
           COALESCE(array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attnum > 0), '{}')
    FROM reached r JOIN pg_class c ON c.oid = r.relid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = r.attnum
    WHERE c.relkind <> 'v'
    GROUP BY c.oid, c.relkind
$$;

-- How a table is read. Another TVIEW: propagated where its document is embedded, else mapped. A base
-- table: local where it holds the key, which here means a column of the key's name or the foreign key
-- named after it; else mapped.
CREATE FUNCTION tviews.lab_kind(relation oid, relkind "char", columns text[], key_column text)
    RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN relkind = 'm' THEN 'matview'
        WHEN relkind = 'f' THEN 'foreign'
        WHEN relkind NOT IN ('r', 'p') THEN 'unread'
        WHEN EXISTS (SELECT 1 FROM tviews.pg_tview_meta m WHERE m.table_oid = relation)
             THEN CASE WHEN 'data' = ANY (columns) THEN 'propagated' ELSE 'mapped' END
        WHEN key_column = ANY (columns)
             OR regexp_replace(key_column, '^pk_', 'fk_') = ANY (columns) THEN 'local'
        ELSE 'mapped' END
$$;

CREATE FUNCTION tviews.lab_plan(entity_name text, view_id oid, definition text)
    RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- "c.pk_customer AS pk_basket": the key's column in the base table
    key_column text := COALESCE(
        substring(definition FROM '(?i)\m(pk_\w+)"?\s+as\s+"?pk_' || entity_name || '\M'),
        'pk_' || entity_name);
    tables jsonb;
    embeds jsonb;
BEGIN
    SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'kind', k.kind, 'relid', r.relid::bigint,
               'table', format('%I.%I', n.nspname, c.relname),
               'column', CASE WHEN k.kind = 'local' THEN CASE WHEN key_column = ANY (r.columns)
                         THEN key_column ELSE regexp_replace(key_column, '^pk_', 'fk_') END END,
               'tview', m.entity, 'entity', CASE WHEN k.kind = 'propagated' THEN m.entity END,
               'attnums', to_jsonb(r.attnums), 'columns', to_jsonb(r.columns)))
               ORDER BY r.relid), '[]')
      INTO tables
      FROM tviews.lab_reads(view_id) r
      JOIN pg_class c ON c.oid = r.relid JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN tviews.pg_tview_meta m ON m.table_oid = r.relid
     CROSS JOIN LATERAL tviews.lab_kind(r.relid, r.relkind, r.columns, key_column) AS k(kind);
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
               'entity', t->>'entity', 'kind', 'nested_object', 'path', jsonb_build_array(t->>'entity'),
               'lookups', to_jsonb(ARRAY(
                   SELECT a.attname::text FROM pg_attribute a
                   WHERE a.attrelid = view_id AND a.attname = 'fk_' || (t->>'entity'))))), '[]')
      INTO embeds FROM jsonb_array_elements(tables) t WHERE t->>'kind' = 'propagated';
    RETURN jsonb_build_object('version', 3, 'set_operation', false, 'direct', '[]'::jsonb,
        'paths', '[]'::jsonb, 'references', '[]'::jsonb, 'embeds', embeds, 'tables', tables);
END $$;

-- TVIEWs that read the table of `entity_name`, directly or not, each after those that it reads.
CREATE FUNCTION tviews.lab_dependents(entity_name text) RETURNS TABLE (entity text, depth int)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE edge AS (
        SELECT up.entity AS source, down.entity AS reader
        FROM tviews.pg_tview_meta down
        CROSS JOIN LATERAL jsonb_array_elements(down.plan->'tables') t
        JOIN tviews.pg_tview_meta up ON up.table_oid::oid::bigint = (t->>'relid')::bigint
    ), walk(entity, depth) AS (
        SELECT reader, 1 FROM edge WHERE source = entity_name
        UNION
        SELECT e.reader, w.depth + 1 FROM walk w JOIN edge e ON e.source = w.entity
        WHERE w.depth < 100
    )
    SELECT entity, max(depth) FROM walk GROUP BY entity ORDER BY 2, 1
$$;

-- Keeping rows right -------------------------------------------------------------------------------

-- Entities whose rows may be wrong are remembered in a setting of the transaction, so that a rolled
-- back savepoint takes them along. The lengths in front keep odd names apart.
CREATE FUNCTION tviews.lab_mark(entity_name text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    marked text[] := COALESCE(NULLIF(current_setting('pgtv_lab.marked', true), ''), '{}')::text[];
BEGIN
    IF entity_name <> ALL (marked) THEN
        PERFORM set_config('pgtv_lab.marked', (marked || entity_name)::text, true);
    END IF;
END $$;

CREATE FUNCTION tviews.lab_flush() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    marked text[];
    chosen tviews.pg_tview_meta;
    written bigint;
    follower text;
BEGIN
    LOOP
        marked := COALESCE(NULLIF(current_setting('pgtv_lab.marked', true), ''), '{}')::text[];
        EXIT WHEN cardinality(marked) = 0;
        -- one that reads no other marked one
        SELECT m.* INTO chosen FROM tviews.pg_tview_meta m
         WHERE m.entity = ANY (marked)
           AND NOT EXISTS (SELECT 1 FROM unnest(marked) o
                           CROSS JOIN LATERAL tviews.lab_dependents(o) d
                           WHERE o <> m.entity AND d.entity = m.entity)
         ORDER BY m.entity LIMIT 1;
        IF chosen.entity IS NULL THEN -- all that is marked was dropped
            PERFORM set_config('pgtv_lab.marked', '{}', true);
            EXIT;
        END IF;
        PERFORM set_config('pgtv_lab.marked', array_remove(marked, chosen.entity)::text, true);
        EXECUTE format('SELECT tviews.%I()', tviews.lab_function(chosen.entity)) INTO written;
        IF written > 0 THEN -- those that map from it hear by its delta triggers
            FOR follower IN
                SELECT m.entity FROM tviews.pg_tview_meta m
                 WHERE m.plan @> jsonb_build_object('tables', jsonb_build_array(
                           jsonb_build_object('relid', chosen.table_oid::oid::bigint,
                                              'kind', 'propagated')))
            LOOP
                PERFORM tviews.lab_mark(follower);
            END LOOP;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION tviews.pg_tview_trigger_handler() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tviews.lab_mark(TG_ARGV[0]);
    RETURN NULL;
END $$;
CREATE FUNCTION tviews.pg_tview_delta_trigger() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tviews.lab_mark(TG_ARGV[0]);
    RETURN NULL;
END $$;
CREATE FUNCTION tviews.pg_tview_flush_trigger() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tviews.lab_flush();
    RETURN NULL;
END $$;
CREATE FUNCTION tviews.pg_tview_truncate_trigger() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tviews.lab_mark(TG_ARGV[0]);
    PERFORM tviews.lab_flush();
    RETURN NULL;
END $$;

-- Registration -------------------------------------------------------------------------------------

CREATE FUNCTION tviews.lab_short(name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept text := name;
BEGIN
    IF octet_length(name) <= 63 THEN RETURN name; END IF;
    WHILE octet_length(kept) > 54 LOOP kept := left(kept, -1); END LOOP;
    RETURN kept || '_' || left(md5(name), 8);
END $$;
CREATE FUNCTION tviews.lab_function(entity_name text) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$SELECT tviews.lab_short('lab_reconcile_' || entity_name)$$;

-- Whom a statement acts for. In functions that run as the installer, CURRENT_USER does not tell.
CREATE FUNCTION tviews.lab_caller() RETURNS name
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
    $$SELECT COALESCE(NULLIF(current_setting('role'), 'none'), SESSION_USER)::name$$;

CREATE FUNCTION tviews.lab_must_own(relation oid) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(tviews.lab_caller(), (SELECT relowner FROM pg_class WHERE oid = relation),
                       'USAGE') THEN
        RAISE EXCEPTION 'must be owner of %', relation::regclass
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- The relation that a caller named, by the caller's search_path.
CREATE FUNCTION tviews.lab_tview(tview text) RETURNS tviews.pg_tview_meta
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    found tviews.pg_tview_meta;
BEGIN
    SELECT m.* INTO found FROM tviews.pg_tview_meta m WHERE m.table_oid = to_regclass(tview);
    IF found.entity IS NULL THEN
        RAISE EXCEPTION 'there is no TVIEW %', tview USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found;
END $$;

CREATE FUNCTION tviews.lab_trigger(kind text, entity_name text, relation oid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    shape record;
    schema_name name;
    table_name name;
BEGIN
    SELECT n.nspname, c.relname INTO schema_name, table_name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    SELECT * INTO shape FROM (VALUES
        ('row', 29, 'INSERT OR DELETE OR UPDATE', '', 'ROW', 'pg_tview_trigger_handler'),
        ('flush', 28, 'INSERT OR DELETE OR UPDATE', '', 'STATEMENT', 'pg_tview_flush_trigger'),
        ('truncate', 32, 'TRUNCATE', '', 'STATEMENT', 'pg_tview_truncate_trigger'),
        ('delta_i', 4, 'INSERT', 'REFERENCING NEW TABLE AS pg_tviews_new', 'STATEMENT',
         'pg_tview_delta_trigger'),
        ('delta_u', 16, 'UPDATE',
         'REFERENCING OLD TABLE AS pg_tviews_old NEW TABLE AS pg_tviews_new', 'STATEMENT',
         'pg_tview_delta_trigger'),
        ('delta_d', 8, 'DELETE', 'REFERENCING OLD TABLE AS pg_tviews_old', 'STATEMENT',
         'pg_tview_delta_trigger')) AS s(kind, type, event, transition, level, function)
     WHERE s.kind = lab_trigger.kind;
    IF EXISTS (SELECT 1 FROM pg_trigger t
                JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = 'tviews'::regnamespace
               WHERE t.tgrelid = relation AND p.proname = shape.function AND t.tgtype = shape.type
                 AND t.tgargs = convert_to(entity_name, getdatabaseencoding()) || '\x00'::bytea) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TRIGGER %I AFTER %s ON %I.%I %s FOR EACH %s EXECUTE FUNCTION tviews.%I(%L)',
        tviews.lab_short(format('trg_tview_%s_%s_on_%s_%s', kind, entity_name, schema_name, table_name)),
        shape.event, schema_name, table_name, shape.transition, shape.level, shape.function,
        entity_name);
END $$;

CREATE FUNCTION tviews.lab_drop_triggers(entity_name text, keep oid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT t.tgname, t.tgrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE p.pronamespace = 'tviews'::regnamespace AND t.tgparentid = 0
          AND t.tgargs = convert_to(entity_name, getdatabaseencoding()) || '\x00'::bytea
          AND t.tgrelid <> ALL (keep)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', found.tgname, found.tgrelid::regclass);
    END LOOP;
END $$;

-- Plan, identity, triggers and reconcile function of a registered TVIEW, made anew; rows untouched.
-- Runs as the installer: triggers go onto tables that the caller may not own.
CREATE FUNCTION tviews.lab_derive(entity_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    registered tviews.pg_tview_meta;
    read_table record;
    part regclass;
    kind text;
    keys text[];
    names text[];
    new_plan jsonb;
    owner_name name;
BEGIN
    SELECT * INTO registered FROM tviews.pg_tview_meta m WHERE m.entity = entity_name FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM pg_class WHERE oid = registered.view_oid)
       OR NOT EXISTS (SELECT 1 FROM pg_class WHERE oid = registered.table_oid) THEN
        RAISE EXCEPTION 'the relations of TVIEW % do not exist', entity_name
            USING ERRCODE = 'undefined_table';
    END IF;
    PERFORM tviews.lab_must_own(registered.table_oid);
    new_plan := tviews.lab_plan(entity_name, registered.view_oid, registered.definition);
    SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum)) INTO keys
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = registered.table_oid AND i.indisprimary;
    SELECT array_agg(a.attname::text ORDER BY a.attnum) INTO names
      FROM pg_attribute a
     WHERE a.attrelid = registered.table_oid AND a.attnum > 0 AND NOT a.attisdropped;
    UPDATE tviews.pg_tview_meta m
       SET plan = new_plan, needs_reregister = false,
           identity = jsonb_build_object('kind', 'pk', 'columns', (
               SELECT jsonb_agg(jsonb_build_object('name', a.attname,
                                                   'type', format_type(a.atttypid, a.atttypmod)))
               FROM pg_attribute a
               WHERE a.attrelid = registered.table_oid AND a.attname = ANY (keys))),
           managed_index_names = ARRAY(
               SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
               WHERE i.indrelid = registered.table_oid AND NOT i.indisprimary
                 AND c.relname LIKE 'idx\_%' ORDER BY 1)
     WHERE m.entity = entity_name;
    IF EXISTS (SELECT 1 FROM tviews.lab_dependents(entity_name) d WHERE d.entity = entity_name) THEN
        RAISE EXCEPTION 'relations would read each other in a cycle: %', entity_name
            USING ERRCODE = 'invalid_object_definition';
    END IF;

    SELECT rolname INTO owner_name FROM pg_roles r JOIN pg_class c ON c.relowner = r.oid
     WHERE c.oid = registered.table_oid;
    -- Compared as record images, the extension's own equality.
    EXECUTE format($code$
        CREATE OR REPLACE FUNCTION tviews.%1$I() RETURNS bigint
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %2$L
        $code$, tviews.lab_function(entity_name), format($body$
        DECLARE
            gone bigint;
            written bigint;
        BEGIN
            LOCK TABLE %1$s IN SHARE ROW EXCLUSIVE MODE;
            DELETE FROM %1$s t WHERE NOT EXISTS (SELECT 1 FROM %2$s v WHERE %3$s);
            GET DIAGNOSTICS gone = ROW_COUNT;
            INSERT INTO %1$s AS t (%4$s) SELECT %4$s FROM %2$s
                ON CONFLICT (%5$s) DO UPDATE SET %6$s
                WHERE record_image_ne(ROW(%7$s), ROW(%8$s));
            GET DIAGNOSTICS written = ROW_COUNT;
            RETURN gone + written;
        END $body$,
        (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = registered.table_oid),
        (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = registered.view_oid),
        (SELECT string_agg(format('v.%1$I = t.%1$I', k), ' AND ') FROM unnest(keys) k),
        (SELECT string_agg(format('%I', k), ', ') FROM unnest(names) k),
        (SELECT string_agg(format('%I', k), ', ') FROM unnest(keys) k),
        (SELECT string_agg(format('%1$I = excluded.%1$I', k), ', ') FROM unnest(names) k),
        (SELECT string_agg(format('t.%I', k), ', ') FROM unnest(names) k),
        (SELECT string_agg(format('excluded.%I', k), ', ') FROM unnest(names) k)));
    EXECUTE format('ALTER FUNCTION tviews.%I() OWNER TO %I', tviews.lab_function(entity_name),
                   owner_name);

    PERFORM tviews.lab_drop_triggers(entity_name, ARRAY(
        SELECT (t->>'relid')::oid FROM jsonb_array_elements(new_plan->'tables') t
        UNION SELECT i.relid::oid FROM jsonb_array_elements(new_plan->'tables') t
              CROSS JOIN LATERAL pg_partition_tree((t->>'relid')::oid) i));
    FOR read_table IN
        SELECT c.oid, c.relkind, t->>'kind' AS kind, t ? 'tview' AS tview
        FROM jsonb_array_elements(new_plan->'tables') t JOIN pg_class c ON c.oid = (t->>'relid')::oid
        WHERE t->>'kind' IN ('local', 'mapped')
    LOOP
        FOREACH kind IN ARRAY CASE
            WHEN read_table.tview THEN '{delta_i,delta_u,delta_d}'::text[]
            WHEN read_table.kind = 'local' OR read_table.relkind = 'p' THEN '{row,flush,truncate}'
            ELSE '{delta_i,delta_u,delta_d,flush,truncate}' END
        LOOP
            PERFORM tviews.lab_trigger(kind, entity_name, read_table.oid);
        END LOOP;
        -- row triggers are cloned by PostgreSQL, statement triggers are not
        FOR part IN SELECT relid FROM pg_partition_tree(read_table.oid)
                    WHERE relid <> read_table.oid AND NOT read_table.tview
        LOOP
            PERFORM tviews.lab_trigger('flush', entity_name, part);
            PERFORM tviews.lab_trigger('truncate', entity_name, part);
        END LOOP;
    END LOOP;
END $$;

-- Takes over a view and a table that the caller made.
CREATE FUNCTION tviews.lab_register(
    entity_name text, made_view oid, view_name text, made_table oid, definition text, forget oid)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tviews.lab_must_own(made_view), tviews.lab_must_own(made_table);
    IF forget IS NOT NULL THEN
        PERFORM tviews.lab_must_own(forget);
        EXECUTE format('DROP VIEW %s', forget::regclass);
    END IF;
    EXECUTE format('ALTER VIEW %s RENAME TO %I', made_view::regclass, view_name);
    EXECUTE format('ALTER VIEW %s SET SCHEMA tviews', made_view::regclass);
    INSERT INTO tviews.pg_tview_meta AS m (entity, view_oid, table_oid, definition, plan)
        VALUES (entity_name, made_view, made_table, lab_register.definition, '{"tables": []}')
        ON CONFLICT (entity) DO UPDATE SET view_oid = excluded.view_oid,
            definition = excluded.definition WHERE m.table_oid = excluded.table_oid;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'entity % is another TVIEW''s', entity_name USING ERRCODE = 'duplicate_object';
    END IF;
    PERFORM tviews.lab_derive(entity_name);
END $$;

CREATE FUNCTION tviews.lab_validate(entity_name text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
    $$INSERT INTO tviews.pg_tview_valid
      SELECT m.entity FROM tviews.pg_tview_meta m JOIN pg_class c ON c.oid = m.table_oid
      WHERE m.entity = entity_name AND c.relpersistence = 'u' ON CONFLICT DO NOTHING$$;

-- Functions for people ---------------------------------------------------------------------------

CREATE FUNCTION tviews.pg_tviews_create_or_replace(tview text, query text, options jsonb DEFAULT '{}')
    RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    parts text[] := parse_ident(tview);
    table_name text := parts[cardinality(parts)];
    schema_name text := COALESCE(parts[cardinality(parts) - 1], current_schema());
    made_view text := 'lab_new_' || md5(tview);
    target text := format('%I.%I', schema_name, table_name);
    existing tviews.pg_tview_meta;
    entity_name text;
    key_column text;
    columns text;
    found record;
BEGIN
    IF table_name NOT LIKE 'tv\_%' THEN
        RAISE EXCEPTION 'the name of a TVIEW starts with tv_: %', table_name
            USING ERRCODE = 'invalid_name';
    END IF;
    SELECT m.* INTO existing FROM tviews.pg_tview_meta m WHERE m.table_oid = to_regclass(target);
    IF existing.definition = query THEN RETURN 'unchanged'; END IF;
    EXECUTE format('CREATE VIEW %I.%I AS %s', schema_name, made_view, rtrim(query, E'; \n\t'));
    made_view := format('%I.%I', schema_name, made_view);
    SELECT min(a.attname) FILTER (WHERE a.attnum = f.first),
           string_agg(format('%I', a.attname), ', ' ORDER BY
               a.attnum <> f.first, a.attname <> 'id', a.attname <> 'data', a.attnum)
      INTO key_column, columns
      FROM pg_attribute a
     CROSS JOIN (SELECT min(b.attnum) AS first FROM pg_attribute b
                 WHERE b.attrelid = made_view::regclass AND b.attname LIKE 'pk\_%') f
     WHERE a.attrelid = made_view::regclass AND a.attnum > 0;
    entity_name := substr(key_column, 4);
    IF key_column IS NULL THEN
        RAISE EXCEPTION 'TVIEW % has no column pk_<entity>', tview
            USING ERRCODE = 'invalid_object_definition';
    END IF;
    IF existing.entity IS NULL THEN
        EXECUTE format('CREATE %s TABLE %s WITH (fillfactor = %s) AS SELECT %s FROM %s WITH NO DATA',
            CASE WHEN options->>'logged' = 'false' THEN 'UNLOGGED' ELSE '' END, target,
            COALESCE((options->>'fillfactor')::int, 85), columns, made_view);
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY (%I)', target,
            tviews.lab_short(table_name || '_pkey'), key_column);
        FOR found IN SELECT a.attname FROM pg_attribute a WHERE a.attrelid = target::regclass
                      AND a.attnum > 0 AND a.attname = 'id' LOOP
            EXECUTE format('ALTER TABLE %s ALTER id SET NOT NULL', target);
            EXECUTE format('CREATE INDEX %I ON %s (id)',
                tviews.lab_short('idx_' || table_name || '_id'), target);
        END LOOP;
        -- what an embedded TVIEW's change has to be looked up by
        FOR found IN SELECT a.attname FROM pg_attribute a
                       JOIN tviews.pg_tview_meta m ON a.attname = 'fk_' || m.entity
                      WHERE a.attrelid = target::regclass LOOP
            EXECUTE format('CREATE INDEX %I ON %s (%I, %I)',
                tviews.lab_short(format('idx_%s_%s_%s', table_name, found.attname, key_column)),
                target, found.attname, key_column);
        END LOOP;
    ELSIF EXISTS (
        (SELECT attname, atttypid FROM pg_attribute
          WHERE attrelid = made_view::regclass AND attnum > 0
         EXCEPT
         SELECT attname, atttypid FROM pg_attribute WHERE attrelid = existing.table_oid)
        UNION ALL
        (SELECT attname, atttypid FROM pg_attribute
          WHERE attrelid = existing.table_oid AND attnum > 0 AND NOT attisdropped
         EXCEPT
         SELECT attname, atttypid FROM pg_attribute WHERE attrelid = made_view::regclass)) THEN
        RAISE EXCEPTION 'the lab does not change the columns of a TVIEW'
            USING ERRCODE = 'feature_not_supported', HINT = 'Drop it and create it again.';
    END IF;
    PERFORM tviews.lab_register(entity_name, made_view::regclass,
        tviews.lab_short(schema_name || '__' || table_name), target::regclass, query,
        existing.view_oid);
    PERFORM tviews.pg_tviews_refresh(target);
    RETURN CASE WHEN existing.entity IS NULL THEN 'created' ELSE 'replaced' END;
END $$;

CREATE FUNCTION tviews.pg_tviews_refresh(tview text) RETURNS void
    LANGUAGE plpgsql STRICT AS $$
DECLARE
    registered tviews.pg_tview_meta := tviews.lab_tview(tview);
    each_entity text;
BEGIN
    PERFORM tviews.lab_must_own(registered.table_oid);
    FOR each_entity IN SELECT registered.entity
                       UNION ALL SELECT entity FROM tviews.lab_dependents(registered.entity) LOOP
        PERFORM tviews.lab_mark(each_entity);
    END LOOP;
    PERFORM tviews.lab_flush();
    PERFORM tviews.lab_validate(registered.entity);
END $$;

CREATE FUNCTION tviews.pg_tviews_reregister(tview text) RETURNS text
    LANGUAGE plpgsql STRICT AS $$
BEGIN
    PERFORM tviews.lab_derive((tviews.lab_tview(tview)).entity);
    RETURN 'reregistered';
END $$;

CREATE FUNCTION tviews.pg_tviews_reregister_all(strict boolean DEFAULT false)
    RETURNS TABLE (entity text, status text) LANGUAGE plpgsql AS $$
BEGIN
    FOR entity IN SELECT m.entity FROM tviews.pg_tview_meta m
                   ORDER BY (SELECT count(*) FROM tviews.pg_tview_meta o
                             CROSS JOIN LATERAL tviews.lab_dependents(o.entity) d
                             WHERE d.entity = m.entity), m.entity LOOP
        BEGIN
            PERFORM tviews.lab_derive(entity);
            status := 'reregistered';
        EXCEPTION WHEN OTHERS THEN
            IF strict THEN RAISE; END IF;
            status := 'failed: ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION tviews.lab_forget(entity_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    registered tviews.pg_tview_meta;
BEGIN
    SELECT * INTO registered FROM tviews.pg_tview_meta m WHERE m.entity = entity_name;
    PERFORM tviews.lab_must_own(registered.table_oid);
    PERFORM tviews.lab_drop_triggers(entity_name, '{}');
    EXECUTE format('DROP FUNCTION IF EXISTS tviews.%I()', tviews.lab_function(entity_name));
    EXECUTE format('DROP VIEW IF EXISTS %s', registered.view_oid);
    EXECUTE format('DROP TABLE IF EXISTS %s', registered.table_oid);
    DELETE FROM tviews.pg_tview_meta m WHERE m.entity = entity_name;
    DELETE FROM tviews.pg_tview_valid v WHERE v.entity = entity_name;
END $$;

CREATE FUNCTION tviews.pg_tviews_drop(
    tview text, if_exists boolean DEFAULT false, cascade boolean DEFAULT false)
    RETURNS text LANGUAGE plpgsql STRICT AS $$
DECLARE
    registered tviews.pg_tview_meta;
    readers text[];
    each_entity text;
BEGIN
    IF if_exists AND NOT EXISTS (SELECT 1 FROM tviews.pg_tview_meta WHERE table_oid = to_regclass(tview))
    THEN
        RETURN format('TVIEW %s does not exist', tview);
    END IF;
    registered := tviews.lab_tview(tview);
    readers := ARRAY(SELECT entity FROM tviews.lab_dependents(registered.entity) ORDER BY depth DESC);
    IF readers <> '{}' AND NOT cascade THEN
        RAISE EXCEPTION 'other TVIEWs read %: %', tview, array_to_string(readers, ', ')
            USING ERRCODE = 'dependent_objects_still_exist';
    END IF;
    FOREACH each_entity IN ARRAY readers || registered.entity LOOP
        PERFORM tviews.lab_forget(each_entity);
    END LOOP;
    RETURN format('TVIEW %s dropped', tview);
END $$;

CREATE FUNCTION tviews.pg_tviews_health_check()
    RETURNS TABLE (status text, component text, message text, severity text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'OK', 'extension', 'pgtv lab: a stand-in, not the extension', 'info'
    UNION ALL
    SELECT CASE WHEN n = 0 THEN 'OK' ELSE 'ERROR' END, 'metadata',
           CASE WHEN n = 0 THEN 'All metadata entries valid'
                ELSE n || ' entries name relations that do not exist' END,
           CASE WHEN n = 0 THEN 'info' ELSE 'error' END
    FROM (SELECT count(*) AS n FROM tviews.pg_tview_meta m
          WHERE NOT EXISTS (SELECT 1 FROM pg_class WHERE oid = m.table_oid)
             OR NOT EXISTS (SELECT 1 FROM pg_class WHERE oid = m.view_oid)) bad
    UNION ALL
    SELECT 'OK', 'tviews', count(*) || ' TVIEWs registered', 'info' FROM tviews.pg_tview_meta
$$;

REVOKE EXECUTE ON FUNCTION tviews.pg_tviews_reregister_all(boolean) FROM PUBLIC;
COMMIT;
