"""Triggers of an application's own on a base table, in every state that people give them."""

OWN_TRIGGERS = """
CREATE TABLE public.own_log (trigger name);
CREATE FUNCTION public.own() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.own_log VALUES (TG_NAME); RETURN NEW; END $$;
CREATE TRIGGER own_enabled AFTER UPDATE ON public.tb_customer
    FOR EACH ROW EXECUTE FUNCTION public.own();
CREATE TRIGGER own_disabled AFTER UPDATE ON public.tb_customer
    FOR EACH ROW EXECUTE FUNCTION public.own();
CREATE TRIGGER own_always BEFORE UPDATE ON public.tb_customer
    FOR EACH ROW EXECUTE FUNCTION public.own();
-- named as the extension names its own
CREATE TRIGGER trg_tview_own AFTER UPDATE ON public.tb_customer
    FOR EACH ROW EXECUTE FUNCTION public.own();
ALTER TABLE public.tb_customer DISABLE TRIGGER own_disabled, ENABLE ALWAYS TRIGGER own_always;
"""
OWN_STATES = """
SELECT tgname, tgenabled FROM pg_trigger
WHERE tgfoid = 'public.own'::regproc AND tgrelid = 'public.tb_customer'::regclass ORDER BY 1
"""
