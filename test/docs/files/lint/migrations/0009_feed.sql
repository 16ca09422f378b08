CREATE VIEW v_recent AS SELECT f.pk_feed FROM tv_feed f;

CREATE TABLE tv_feed AS
SELECT o.pk_order AS pk_feed, jsonb_build_object('order', o.pk_order) AS data
FROM tb_order o JOIN v_recent r ON r.pk_feed = o.pk_order;
