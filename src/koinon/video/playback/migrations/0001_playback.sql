-- What a timeline reads instead of every unit: how much of each hour a copy has. Kept by the statement that inserts or
-- deletes units, in its own transaction, so that it never says anything else than the units do.

CREATE TABLE playback.hour (
    stream integer NOT NULL,
    hour timestamptz NOT NULL,
    copy smallint NOT NULL,
    -- Of the units that touch this hour, the part within it. Exactly 3,600,000,000 is a whole hour, which nobody needs
    -- to look into; more is an hour in which units overlap (the wall clock was set back), less one with a gap.
    recorded_us bigint NOT NULL,
    units integer NOT NULL,
    PRIMARY KEY (stream, hour, copy)
) WITH (fillfactor = 70);  -- a row is written some sixty times an hour: room for its versions on the same page

-- The newest gaps are asked for most.
CREATE INDEX gap_end ON recordings.gap (stream, end_at);

CREATE FUNCTION playback.count_inserted() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO playback.hour AS t (stream, hour, copy, recorded_us, units)
    SELECT u.stream, h.hour, u.copy,
           sum((extract(epoch FROM least(u.end_at, h.hour + interval '1 hour') - greatest(u.start_at, h.hour))
                * 1000000)::bigint)::bigint,
           count(*)
    FROM (SELECT stream, copy, start_at, start_at + wall_us * interval '1 microsecond' AS end_at FROM fresh) u
    CROSS JOIN LATERAL (
        SELECT date_trunc('hour', u.start_at, 'UTC') + n * interval '1 hour' AS hour
        FROM generate_series(
            0, (extract(epoch FROM u.end_at - interval '1 microsecond' - date_trunc('hour', u.start_at, 'UTC')))::bigint
                / 3600) n
    ) h
    WHERE u.end_at > u.start_at AND h.hour < u.end_at
    GROUP BY u.stream, h.hour, u.copy
    ORDER BY u.stream, h.hour, u.copy  -- the order in which all take their locks
    ON CONFLICT (stream, hour, copy) DO UPDATE
        SET recorded_us = t.recorded_us + excluded.recorded_us, units = t.units + excluded.units;
    RETURN NULL;
END $$;

CREATE FUNCTION playback.count_deleted() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    WITH less AS (
        SELECT u.stream, h.hour, u.copy,
               sum((extract(epoch FROM least(u.end_at, h.hour + interval '1 hour') - greatest(u.start_at, h.hour))
                    * 1000000)::bigint)::bigint AS recorded_us,
               count(*) AS units
        FROM (SELECT stream, copy, start_at, start_at + wall_us * interval '1 microsecond' AS end_at FROM gone) u
        CROSS JOIN LATERAL (
            SELECT date_trunc('hour', u.start_at, 'UTC') + n * interval '1 hour' AS hour
            FROM generate_series(
                0,
                (extract(epoch FROM u.end_at - interval '1 microsecond' - date_trunc('hour', u.start_at, 'UTC')))::bigint
                    / 3600) n
        ) h
        WHERE u.end_at > u.start_at AND h.hour < u.end_at
        GROUP BY u.stream, h.hour, u.copy
    ), held AS (
        SELECT t.stream, t.hour, t.copy FROM playback.hour t JOIN less USING (stream, hour, copy)
        ORDER BY t.stream, t.hour, t.copy FOR UPDATE OF t
    )
    UPDATE playback.hour t
    SET recorded_us = t.recorded_us - less.recorded_us, units = t.units - less.units
    FROM less JOIN held USING (stream, hour, copy)
    WHERE t.stream = less.stream AND t.hour = less.hour AND t.copy = less.copy;
    DELETE FROM playback.hour t USING (SELECT DISTINCT stream, date_trunc('hour', start_at, 'UTC') AS hour, copy FROM gone) g
    WHERE t.stream = g.stream AND t.copy = g.copy AND t.units = 0
      AND t.hour >= g.hour AND t.hour <= g.hour + interval '2 hours';
    RETURN NULL;
END $$;

-- When a unit was and how long it is never changes: who would change it must delete and insert.
CREATE FUNCTION playback.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the times of a unit never change' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER count_inserted AFTER INSERT ON recordings.unit
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION playback.count_inserted();
CREATE TRIGGER count_deleted AFTER DELETE ON recordings.unit
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION playback.count_deleted();
CREATE TRIGGER times_stay BEFORE UPDATE OF stream, copy, start_at, wall_us ON recordings.unit
    FOR EACH ROW WHEN ((OLD.stream, OLD.copy, OLD.start_at, OLD.wall_us)
                       IS DISTINCT FROM (NEW.stream, NEW.copy, NEW.start_at, NEW.wall_us))
    EXECUTE FUNCTION playback.refuse_change();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA playback FROM PUBLIC;
GRANT SELECT ON playback.hour TO koinon_web, koinon_worker, koinon_reader;
