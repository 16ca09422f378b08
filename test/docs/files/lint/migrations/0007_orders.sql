CREATE TABLE tb_order (
  pk_order   bigint PRIMARY KEY,
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  placed_at  timestamptz NOT NULL
);

CREATE INDEX ON tb_order (placed_at);

CREATE TABLE tv_order AS
SELECT o.pk_order, o.id, jsonb_build_object(
         'placed', o.placed_at,
         'age',    now() - o.placed_at) AS data
FROM tb_order o;
