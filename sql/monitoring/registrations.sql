-- Registrations whose table or view is gone, or that need to be registered again. Should give no row.
SELECT r.entity, r.name, r.view IS NULL AS view_gone, r.schema IS NULL AS table_gone, r.needs_reregister
FROM tviews.registry r
WHERE r.view IS NULL OR r.schema IS NULL OR r.needs_reregister
ORDER BY 1;
