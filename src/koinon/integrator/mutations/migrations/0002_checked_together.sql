-- Numbers come by thousands in a statement. A foreign key is checked row by row, which took half of the time of passing
-- on; the same is checked here once a statement. What is referred to is removed and renamed by nobody.
ALTER TABLE mutations.item DROP CONSTRAINT item_subscription_fkey;
ALTER TABLE mutations.publication DROP CONSTRAINT publication_source_fkey;

CREATE FUNCTION mutations.check_subscription() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT subscription FROM fresh) f
               WHERE NOT EXISTS (SELECT FROM mutations.subscription s WHERE s.id = f.subscription)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a number of a subscription that does not exist';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION mutations.check_stream() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT source FROM fresh) f
               WHERE NOT EXISTS (SELECT FROM mutations.stream s WHERE s.source = f.source)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a publication of a source that does not exist';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION mutations.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE foreign_key_violation USING MESSAGE = format('%s is referred to: it is ended, not removed', TG_TABLE_NAME);
END $$;

CREATE TRIGGER check_subscription AFTER INSERT ON mutations.item
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION mutations.check_subscription();
CREATE TRIGGER check_stream AFTER INSERT ON mutations.publication
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION mutations.check_stream();
-- No process removes or renames one of these; that none can stands here.
CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OF id ON mutations.subscription
    FOR EACH ROW EXECUTE FUNCTION mutations.refuse_change();
CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OF source ON mutations.stream
    FOR EACH ROW EXECUTE FUNCTION mutations.refuse_change();
CREATE TRIGGER check_renamed AFTER UPDATE ON mutations.item
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION mutations.check_subscription();
CREATE TRIGGER check_renamed AFTER UPDATE ON mutations.publication
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION mutations.check_stream();
