-- The epoch of standing. One row; raised in the transaction of each change on which a right could rest.
CREATE TABLE standing.epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch bigint NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO standing.epoch (epoch) VALUES (1);

-- SECURITY DEFINER: a process may raise the epoch only by changing something, never by writing the number.
CREATE FUNCTION standing.raise_epoch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE standing.epoch SET epoch = epoch + 1, raised_at = clock_timestamp();
    PERFORM pg_notify('standing', '');
    RETURN NULL;
END $$;

-- True while `expected` is still the epoch; holds it there until the caller's transaction ends, so that a recording
-- and a suspension are ordered: what was recorded before the suspension committed, stands; nothing after it is.
CREATE FUNCTION standing.confirm(expected bigint) RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT EXISTS (SELECT 1 FROM standing.epoch WHERE epoch = expected FOR SHARE)
$$;

-- Every table of the floors below raises the epoch unless it is named here as one on which no right rests. Run again
-- after each migration (`koinon.app.schemas.prepare`), since a later migration of those floors may add tables.
CREATE FUNCTION standing.watch_tables() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT n.nspname AS schema, c.relname AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND (n.nspname IN ('parties', 'agreements', 'rules') OR n.nspname = 'standing' AND c.relname IN ('act', 'genesis'))
          AND n.nspname || '.' || c.relname NOT IN (
              'parties.account', 'parties.session', 'parties.attempt', 'parties.sign_in',
              'rules.decision_input', 'rules.report')
          AND NOT EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'raise_epoch')
    LOOP
        EXECUTE format(
            'CREATE TRIGGER raise_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION standing.raise_epoch()', t.schema, t.name);
    END LOOP;
END $$;
SELECT standing.watch_tables();

GRANT USAGE ON SCHEMA standing TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
GRANT SELECT ON standing.epoch TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
REVOKE ALL ON FUNCTION standing.confirm(bigint), standing.raise_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION standing.confirm(bigint) TO koinon_web, koinon_worker;
