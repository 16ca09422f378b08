"""The extension's catalog: rows gone, columns that say something else, names gone stale."""

from __future__ import annotations

from declare import (
    BASKET,
    CATEGORY,
    CUSTOMER,
    EVERY,
    FAILS,
    LINE,
    ORDER,
    PRODUCT,
    RISK,
    SEARCH,
    SEGMENT,
    STOCK,
    WRONG,
    Beyond,
    Fault,
)  # fmt: skip

_META = "UPDATE tviews.pg_tview_meta SET"
_PRICED = """CREATE FUNCTION public.first_category() RETURNS text LANGUAGE sql STABLE
AS 'SELECT min(name) FROM public.tb_category';
SELECT tviews.pg_tviews_create_or_replace('public.tv_offer', $$
    SELECT p.pk_product AS pk_offer, jsonb_build_object('first', public.first_category()) AS data
    FROM public.tb_product p $$,
    '{"function_reads": {"public.first_category()": ["public.tb_category"]},
      "uncascaded_policy": "full_refresh"}')"""

FAULTS = (
    Fault(
        "meta-row-deleted", "The registration of a TVIEW is deleted", 6, (CUSTOMER,), WRONG,
        "DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer'",
    ),
    Fault(
        "meta-row-deleted-mapped", "The registration of a TVIEW with mapped reads is deleted", 6,
        (SEARCH,), FAILS, "DELETE FROM tviews.pg_tview_meta WHERE entity = 'search'",
        sqlstate="42704",
    ),
    Fault(
        "meta-rows-all-deleted", "Every registration is deleted", 6, EVERY, FAILS,
        "DELETE FROM tviews.pg_tview_meta",
    ),
    Fault(
        "meta-truncated", "The catalog is truncated", 6, EVERY, FAILS,
        "TRUNCATE tviews.pg_tview_meta",
    ),
    Fault(
        "meta-row-and-view-gone", "Registration and backing view are gone", 6, (CUSTOMER,), WRONG,
        """DROP VIEW tviews.public__tv_customer CASCADE;
        DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer'""",
    ),
    Fault(
        "meta-renamed-entity", "The entity of a registration is changed", 6, (CUSTOMER,), FAILS,
        f"{_META} entity = 'client' WHERE entity = 'customer'",
    ),
    Fault(
        "meta-ghost-row", "A registration points at a table that is no TVIEW", 6,
        ("public.tb_category", "ghost", "tv_ghost", "public.tv_ghost", CATEGORY), RISK,
        """INSERT INTO tviews.pg_tview_meta (entity, view_oid, table_oid, definition, plan)
        SELECT 'ghost', view_oid, 'public.tb_category', definition, plan
        FROM tviews.pg_tview_meta WHERE entity = 'category'""",
    ),
    Fault(
        "plan-empty-object", "A plan is an empty object", 6, (STOCK,), FAILS,
        f"{_META} plan = '{{}}' WHERE entity = 'stock'", sqlstate="XX000",
    ),
    Fault(
        "plan-no-object", "A plan is a number", 6, (STOCK,), FAILS,
        f"{_META} plan = '7' WHERE entity = 'stock'", sqlstate="XX000",
    ),
    Fault(
        "plan-without-version", "A plan lost its version", 6, (STOCK,), FAILS,
        f"{_META} plan = plan - 'version' WHERE entity = 'stock'",
    ),
    Fault(
        "plan-version-future", "A plan of a later release", 9, (STOCK,), FAILS,
        f"{_META} plan = jsonb_set(plan, '{{version}}', '99') WHERE entity = 'stock'",
    ),
    Fault(
        "plan-tables-empty", "A plan names no tables", 6, (BASKET,), WRONG,
        f"""{_META} plan = jsonb_set(jsonb_set(plan, '{{tables}}', '[]'), '{{paths}}', '[]')
        WHERE entity = 'basket'""",
    ),
    Fault(
        "plan-one-table-lost", "A plan lost one of the tables", 6,
        (BASKET, '"Sales Dept".tb_order'), WRONG,
        f"""{_META} plan = jsonb_set(jsonb_set(plan, '{{tables}}', jsonb_build_array(plan->'tables'->0)),
        '{{paths}}', jsonb_build_array(plan->'paths'->0)) WHERE entity = 'basket'""",
    ),
    Fault(
        "plan-wrong-column", "A plan maps through the wrong column", 6,
        (BASKET, '"Sales Dept".tb_order'), WRONG,
        f"""{_META} plan = jsonb_set(jsonb_set(jsonb_set(plan,
        '{{tables,1,column}}', '"pk_order"'), '{{paths,1,initial_col}}', '"pk_order"'),
        '{{paths,1,initial_attnum}}', '1') WHERE entity = 'basket'""",
    ),
    Fault(
        "plan-columns-forgotten", "A plan watches fewer columns than the definition reads", 6,
        (CUSTOMER, "public.tb_customer"), WRONG,
        f"""{_META} plan = jsonb_set(jsonb_set(jsonb_set(jsonb_set(plan,
        '{{tables,0,columns}}', '["pk_customer"]'), '{{tables,0,attnums}}', '[1]'),
        '{{tables,0,links}}', '[]'), '{{paths,0,source_columns}}', '["pk_customer"]')
        WHERE entity = 'customer'""",
    ),
    Fault(
        "plan-kind-propagated", "A plan says that somebody else propagates", 6,
        (SEARCH, "public.tb_category"), WRONG,
        f"""{_META} plan = jsonb_set(plan, '{{tables}}', (SELECT jsonb_agg(
          CASE WHEN t->>'table' LIKE '%tb_category' THEN jsonb_set(t, '{{kind}}', '"propagated"')
          ELSE t END) FROM jsonb_array_elements(plan->'tables') t)) WHERE entity = 'search'""",
    ),
    Fault(
        "plan-of-another", "A TVIEW has the plan of another", 6, (CATEGORY,), WRONG,
        f"""{_META} plan = (SELECT plan FROM tviews.pg_tview_meta WHERE entity = 'customer')
        WHERE entity = 'category'""",
    ),
    Fault(
        "plan-embeds-lost", "A plan lost the TVIEW that it embeds", 6, (ORDER, CUSTOMER), WRONG,
        f"{_META} plan = jsonb_set(plan, '{{embeds}}', '[]') WHERE entity = 'order'",
    ),
    Fault(
        "plan-cycle", "An edited plan closes a cycle", 5, (CUSTOMER, ORDER), FAILS,
        f"""{_META} plan = jsonb_set(plan, '{{references}}',
          (SELECT plan->'references' FROM tviews.pg_tview_meta WHERE entity = 'segment')
          || (SELECT plan->'references' FROM tviews.pg_tview_meta WHERE entity = 'order')),
        needs_reregister = false WHERE entity = 'customer';
        {_META} plan = jsonb_set(plan, '{{embeds}}', (SELECT jsonb_agg(
            jsonb_set(e, '{{entity}}', '"order"')) FROM tviews.pg_tview_meta,
            jsonb_array_elements(plan->'embeds') e WHERE entity = 'order'))
        WHERE entity = 'customer'""",
        sqlstate="42P17",
    ),
    Fault(
        "plan-embeds-other", "A plan embeds a TVIEW that the view does not read", 6, (CUSTOMER,), FAILS,
        f"""{_META} plan = jsonb_set(plan, '{{embeds}}', (SELECT jsonb_agg(
            jsonb_set(e, '{{entity}}', '"category"')) FROM tviews.pg_tview_meta,
            jsonb_array_elements(plan->'embeds') e WHERE entity = 'order'))
        WHERE entity = 'customer'""",
        sqlstate="42703",
    ),
    Fault(
        "catalog-rule", "A rewrite rule on the extension's catalog", 6, EVERY, RISK,
        "CREATE RULE quiet AS ON UPDATE TO tviews.pg_tview_meta DO ALSO NOTHING",
    ),
    Fault(
        "time-flag-cleared", "A TVIEW that reads the current time is not marked so", 6,
        ("public.tv_today",), RISK,
        f"{_META} time_dependent = false WHERE entity = 'today'",
        setup="""SELECT tviews.pg_tviews_create('public.tv_today',
            'SELECT c.pk_category AS pk_today, c.name, current_date AS day FROM public.tb_category c',
            '{"time_refresh": "external"}')""",
    ),
    Fault(
        "definition-other-value", "The stored definition compares with another value", 6, (SEARCH,),
        RISK,
        f"{_META} definition = definition || ' WHERE c.name <> ''nobody''' WHERE entity = 'search'",
    ),
    Fault(
        "oid-table-of-another", "A registration points at another TVIEW's table", 6, (CUSTOMER,),
        FAILS, f"{_META} table_oid = 'public.tv_category' WHERE entity = 'customer'",
    ),
    Fault(
        "oid-table-nowhere", "table_oid points nowhere", 6, (CUSTOMER, "tv_customer"), FAILS,
        f"{_META} table_oid = 999999 WHERE entity = 'customer'",
    ),
    Fault(
        "oid-view-of-another", "A registration points at another TVIEW's view", 6, (CUSTOMER,),
        FAILS, f"{_META} view_oid = 'tviews.public__tv_category' WHERE entity = 'customer'",
    ),
    Fault(
        "oid-view-nowhere", "view_oid points nowhere", 6, (CUSTOMER,), FAILS,
        f"{_META} view_oid = 999999 WHERE entity = 'customer'",
    ),
    Fault(
        "definition-other", "The stored definition is not what the view does", 6, (CUSTOMER,), RISK,
        f"""{_META} definition = replace(definition, '''email'', c.email', '''email'', ''hidden''')
        WHERE entity = 'customer'""",
    ),
    Fault(
        "definition-empty", "The stored definition is empty", 6, (CUSTOMER,), RISK,
        f"{_META} definition = '' WHERE entity = 'customer'",
    ),
    Fault(
        "identity-lost", "The identity of a TVIEW is null", 6, (CUSTOMER,), FAILS,
        f"{_META} identity = NULL WHERE entity = 'customer'",
    ),
    Fault(
        "identity-other-column", "The identity of a TVIEW names another column", 6, (ORDER,), FAILS,
        f"""{_META} identity = '{{"kind": "pk", "columns": [{{"name": "fk_customer", "type": "bigint"}}]}}'
        WHERE entity = 'order'""",
    ),
    Fault(
        "identity-missing-column", "The identity of a TVIEW names a column that is not there", 6,
        (ORDER,), FAILS,
        f"""{_META} identity = '{{"kind": "pk", "columns": [{{"name": "pk_ordr", "type": "bigint"}}]}}'
        WHERE entity = 'order'""",
    ),
    Fault(
        "identity-nonsense", "The identity of a TVIEW is no object", 6, (ORDER,), FAILS,
        f"{_META} identity = '[1, 2]' WHERE entity = 'order'",
    ),
    Fault(
        "group-keys-nonsense", "The group keys of a TVIEW name what is not there", 6, (STOCK,), RISK,
        f"{_META} group_keys = '[\"nothing\"]' WHERE entity = 'stock'",
    ),
    Fault(
        "needs-reregister", "A TVIEW waits to be registered again", 6, (STOCK,), RISK,
        f"{_META} needs_reregister = true WHERE entity = 'stock'",
    ),
    Fault(
        "uncascaded-ghost", "A registration excuses a table that it does not read", 6,
        (STOCK,), RISK,
        f"""{_META} uncascaded_oids = ARRAY['public.tb_category'::regclass], uncascaded_policy = 'warn'
        WHERE entity = 'stock'""",
    ),
    Fault(
        "function-reads-lost", "The declared reads of a function are gone from the registration", 6,
        ("public.tv_offer",), RISK,
        f"""{_META} function_read_functions = '{{}}', function_read_tables = '{{}}'
        WHERE entity = 'offer'""",
        setup=_PRICED,
    ),
    Fault(
        "function-reads-uneven", "The declared reads of a function are lists of unequal length", 6,
        ("public.tv_offer",), RISK,
        f"{_META} function_read_tables = '{{}}' WHERE entity = 'offer'", setup=_PRICED,
    ),
    Fault(
        "time-flag-set", "A TVIEW is marked time-dependent that is not", 6, (CUSTOMER,), RISK,
        f"{_META} time_dependent = true, time_refresh = 'external' WHERE entity = 'customer'",
    ),
    Fault(
        "managed-indexes-ghost", "The registration lists an index that is not there", 6, (ORDER,),
        RISK, f"{_META} managed_index_names = ARRAY['idx_gone'] WHERE entity = 'order'",
    ),
    Fault(
        "names-swapped", "Two registrations have their tables and views exchanged", 6,
        (CATEGORY, CUSTOMER), FAILS,
        """CREATE TEMP TABLE m AS SELECT entity, table_oid, view_oid FROM tviews.pg_tview_meta
        WHERE entity IN ('category', 'customer');
        UPDATE tviews.pg_tview_meta t SET table_oid = m.table_oid, view_oid = m.view_oid FROM m
        WHERE t.entity IN ('category', 'customer') AND m.entity IN ('category', 'customer')
          AND m.entity <> t.entity""",
    ),
    Fault(
        "catalog-table-dropped", "A table of the extension's own is dropped", 6, ("*",), FAILS,
        """ALTER EXTENSION pg_tviews DROP TABLE tviews.pg_tview_valid;
        DROP TABLE tviews.pg_tview_valid CASCADE""",
        beyond=(
            Beyond.DECISION,
            "The extension has to be dropped and created anew: pgtv upgrade detach, CREATE "
            "EXTENSION, pgtv upgrade attach.",
        ),
    ),
    Fault(
        "catalog-view-replaced", "The view that tools read is replaced by an empty one", 6, EVERY,
        FAILS,
        "CREATE RULE \"_RETURN2\" AS ON UPDATE TO tviews.registry DO INSTEAD NOTHING;"
        " ALTER TABLE tviews.pg_tview_meta ENABLE ROW LEVEL SECURITY",
    ),
    Fault(
        "valid-row-lost", "The mark of an UNLOGGED TVIEW that its rows can be trusted is gone", 1,
        (SEARCH,), RISK, "DELETE FROM tviews.pg_tview_valid",
    ),
    Fault(
        "segment-registration-lost", "A TVIEW that reads another one's table is unregistered", 6,
        (SEGMENT,), FAILS, "DELETE FROM tviews.pg_tview_meta WHERE entity = 'segment'",
    ),
    Fault(
        "leaf-registration-lost", "A TVIEW that embeds two levels is unregistered", 6, (LINE,),
        WRONG, "DELETE FROM tviews.pg_tview_meta WHERE entity = 'order_line'",
    ),
    Fault(
        "middle-registration-lost", "A TVIEW that others embed is unregistered", 6,
        (PRODUCT, LINE), WRONG, "DELETE FROM tviews.pg_tview_meta WHERE entity = 'product'",
    ),
)  # fmt: skip
