-- What a timeline reads instead of every unit: which parts of each hour a copy has. Kept by the statement that inserts or
-- deletes units, in its own transaction, so that it never says anything else than the units do.

CREATE TABLE playback.hour (
    stream integer NOT NULL,
    hour timestamptz NOT NULL,
    copy smallint NOT NULL,
    -- Milliseconds from the hour's start, rounded outwards: units that touch, but for the rounding of clocks, are one range.
    recorded int4multirange NOT NULL,
    PRIMARY KEY (stream, hour, copy)
) WITH (fillfactor = 70);  -- a row is written some sixty times an hour: room for its versions on the same page

-- The parts of hours that lie between the two moments.
CREATE FUNCTION playback.hours_of(start_at timestamptz, end_at timestamptz)
RETURNS TABLE (hour timestamptz, part int4range)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT h, int4range(
               floor(extract(epoch FROM greatest(start_at, h) - h) * 1000)::integer,
               ceil(extract(epoch FROM least(end_at, h + interval '1 hour') - h) * 1000)::integer)
    FROM generate_series(date_trunc('hour', start_at, 'UTC'), end_at - interval '1 microsecond', interval '1 hour') h
$$;

CREATE FUNCTION playback.count_inserted() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO playback.hour AS t (stream, hour, copy, recorded)
    SELECT u.stream, h.hour, u.copy, range_agg(h.part)
    FROM fresh u
    CROSS JOIN LATERAL playback.hours_of(u.start_at, u.start_at + u.wall_us * interval '1 microsecond') h
    GROUP BY u.stream, h.hour, u.copy
    ORDER BY u.stream, h.hour, u.copy  -- the order in which all take their locks
    ON CONFLICT (stream, hour, copy) DO UPDATE SET recorded = t.recorded + excluded.recorded;
    RETURN NULL;
END $$;

-- What is deleted may have overlapped what stays (a wall clock was set back): the hours are told anew from the units.
CREATE FUNCTION playback.count_deleted() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    touched record;
    rest int4multirange;
BEGIN
    -- Locked first: the next statement sees what others, who had the rows before, inserted.
    FOR touched IN
        SELECT t.stream, t.hour, t.copy FROM playback.hour t
        JOIN (SELECT DISTINCT u.stream, h.hour, u.copy FROM gone u CROSS JOIN LATERAL
                playback.hours_of(u.start_at, u.start_at + u.wall_us * interval '1 microsecond') h
             ) g USING (stream, hour, copy)
        ORDER BY t.stream, t.hour, t.copy FOR UPDATE OF t
    LOOP
        SELECT range_agg(h.part) INTO rest
        FROM recordings.unit u CROSS JOIN LATERAL
            playback.hours_of(u.start_at, u.start_at + u.wall_us * interval '1 microsecond') h
        WHERE u.stream = touched.stream AND u.copy = touched.copy AND h.hour = touched.hour
          AND u.start_at > touched.hour - interval '2 hours' AND u.start_at < touched.hour + interval '1 hour';
        IF rest IS NULL THEN
            DELETE FROM playback.hour t
            WHERE t.stream = touched.stream AND t.hour = touched.hour AND t.copy = touched.copy;
        ELSE
            UPDATE playback.hour t SET recorded = rest
            WHERE t.stream = touched.stream AND t.hour = touched.hour AND t.copy = touched.copy;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- When a unit was and how long it is never changes: who would change it must delete and insert.
CREATE FUNCTION playback.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the times of a unit never change' USING ERRCODE = 'restrict_violation';
END $$;

-- What was recorded before this table was made.
INSERT INTO playback.hour (stream, hour, copy, recorded)
SELECT u.stream, h.hour, u.copy, range_agg(h.part)
FROM recordings.unit u
CROSS JOIN LATERAL playback.hours_of(u.start_at, u.start_at + u.wall_us * interval '1 microsecond') h
GROUP BY u.stream, h.hour, u.copy;

CREATE TRIGGER count_inserted AFTER INSERT ON recordings.unit
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION playback.count_inserted();
CREATE TRIGGER count_deleted AFTER DELETE ON recordings.unit
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION playback.count_deleted();
CREATE TRIGGER times_stay BEFORE UPDATE OF stream, copy, start_at, wall_us ON recordings.unit
    FOR EACH ROW WHEN ((OLD.stream, OLD.copy, OLD.start_at, OLD.wall_us)
                       IS DISTINCT FROM (NEW.stream, NEW.copy, NEW.start_at, NEW.wall_us))
    EXECUTE FUNCTION playback.refuse_change();

-- The newest gaps are asked for most.
CREATE INDEX gap_end ON recordings.gap (stream, end_at);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA playback FROM PUBLIC;
GRANT SELECT ON playback.hour TO koinon_web, koinon_worker, koinon_reader;
