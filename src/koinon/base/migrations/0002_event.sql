-- Durable events: an event is a row of the transaction that made it happen; each listener has a cursor.
-- Numbers are given out before commits happen, so neither `id` alone nor the time tells the order: a listener reads
-- by (transaction, id), and only below the oldest transaction that is still running.

CREATE TABLE base.event (
    id bigint GENERATED ALWAYS AS IDENTITY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic text NOT NULL,
    payload jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (transaction, id)
);
CREATE INDEX event_topic ON base.event (topic, transaction, id);

CREATE TABLE base.listener (
    topic text NOT NULL,
    name text NOT NULL,
    transaction xid8 NOT NULL DEFAULT '0',
    id bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, name)
);

-- After a restore into another cluster its transaction numbers may be lower than those in the rows; new events
-- would sort before the cursors and never be seen. All rows then move into transaction 1 (never given out), in the
-- order of their ids, and each cursor to before the first event that its listener has not had: some may be told
-- again, none is lost. Returns whether that was needed.
CREATE FUNCTION base.renumber_events() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
    horizon constant xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
    IF NOT EXISTS (SELECT FROM base.event AS e WHERE e.transaction >= horizon)
       AND NOT EXISTS (SELECT FROM base.listener AS l WHERE l.transaction >= horizon) THEN
        RETURN false;
    END IF;
    LOCK TABLE base.event, base.listener IN ACCESS EXCLUSIVE MODE;
    CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
        SELECT e.*, row_number() OVER (ORDER BY e.id) AS place FROM base.event AS e;
    UPDATE base.listener AS l SET
        transaction = '1',
        id = coalesce(
            (SELECT min(m.place) - 1 FROM pg_temp.moved AS m
             WHERE m.topic = l.topic
               AND NOT ((m.transaction, m.id) <= (l.transaction, l.id) AND m.published_at <= l.moved_at)),
            (SELECT max(m.place) FROM pg_temp.moved AS m),
            0);
    DELETE FROM base.event;
    INSERT INTO base.event (id, transaction, topic, payload, published_at) OVERRIDING SYSTEM VALUE
        SELECT m.place, '1', m.topic, m.payload, m.published_at FROM pg_temp.moved AS m;
    RETURN true;
END
$$;

REVOKE EXECUTE ON FUNCTION base.renumber_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION base.renumber_events TO koinon_web, koinon_worker, koinon_sequencer;
GRANT SELECT, INSERT ON base.event TO koinon_web, koinon_worker, koinon_sequencer;
GRANT DELETE ON base.event TO koinon_worker;
GRANT SELECT, INSERT, UPDATE ON base.listener TO koinon_web, koinon_worker, koinon_sequencer;
GRANT SELECT ON base.event, base.listener TO koinon_reader;
