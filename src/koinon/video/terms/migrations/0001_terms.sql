-- How long recordings are kept: under which regime a camera was when, what is held, what is to be unlinked, what is gone.

-- Which regime a camera was under from when on, kept by a trigger: what was recorded is judged by its own time.
CREATE TABLE terms.assignment (
    camera uuid NOT NULL,
    since timestamptz NOT NULL,
    regime text NOT NULL,
    PRIMARY KEY (camera, since)
);

CREATE FUNCTION terms.note_regime() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    INSERT INTO terms.assignment (camera, since, regime)
    VALUES (NEW.id, CASE TG_OP WHEN 'INSERT' THEN '-infinity'::timestamptz ELSE transaction_timestamp() END, NEW.regime)
    ON CONFLICT (camera, since) DO UPDATE SET regime = excluded.regime;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION terms.note_regime FROM PUBLIC;

INSERT INTO terms.assignment SELECT id, '-infinity', regime FROM cameras.camera;
CREATE TRIGGER note_regime AFTER INSERT ON cameras.camera FOR EACH ROW EXECUTE FUNCTION terms.note_regime();
CREATE TRIGGER note_regime_changed AFTER UPDATE OF regime ON cameras.camera FOR EACH ROW
    WHEN (OLD.regime IS DISTINCT FROM NEW.regime) EXECUTE FUNCTION terms.note_regime();

-- What an owner keeps shorter than the law allows; the newest row counts, days null: the law's maximum again.
CREATE TABLE terms.own_term (
    camera uuid NOT NULL,
    since timestamptz NOT NULL,
    days integer CHECK (days BETWEEN 1 AND 3660),
    by uuid,
    PRIMARY KEY (camera, since)
);

-- A hold ends; going on is another hold. Nothing of it changes but that it is ended early.
CREATE TABLE terms.hold (
    id uuid PRIMARY KEY,
    decision uuid NOT NULL,
    camera uuid NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    owner uuid NOT NULL,
    basis text NOT NULL,
    rule text NOT NULL,
    article text NOT NULL CHECK (article <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    "case" text NOT NULL DEFAULT '',
    -- The age up to which it keeps images past the maximum of their regime; null: it does not.
    keeps_days integer CHECK (keeps_days >= 0),
    placed_by uuid NOT NULL,
    placed_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > placed_at AND ends_at <= placed_at + interval '366 days'),
    renews uuid,
    ended_at timestamptz,
    ended_by uuid
);
CREATE INDEX ON terms.hold (camera, ends_at) WHERE ended_at IS NULL;
CREATE INDEX ON terms.hold (decision);

-- Files that no row needs any more. A row of it is written with the one that it takes the place of, and goes when the
-- file is durably gone.
CREATE TABLE terms.garbage (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('unit', 'derived')),
    stream integer NOT NULL,
    copy smallint NOT NULL DEFAULT 0,
    start_at timestamptz NOT NULL,
    place smallint NOT NULL,
    file text NOT NULL,
    bytes bigint NOT NULL,
    why text NOT NULL CHECK (why IN ('term', 'maximum', 'pressure')),
    at timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    UNIQUE (place, file)
);

-- What is gone, merged: the timeline shows it. It tells that there was something, and nothing of what.
CREATE TABLE terms.deleted (
    stream integer NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL CHECK (end_at >= start_at),
    why text NOT NULL CHECK (why IN ('term', 'maximum', 'pressure')),
    units integer NOT NULL,
    bytes bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (stream, why, start_at)
);

-- How much of a camera went on which day, by reason: what the achieved term tells.
CREATE TABLE terms.deletion (
    day date NOT NULL,
    camera uuid NOT NULL,
    why text NOT NULL CHECK (why IN ('term', 'maximum', 'pressure')),
    units integer NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (day, camera, why)
);

-- Files made from recordings (thumbnails, clips, masked streams, replicas): they go with what they were made from.
CREATE TABLE terms.derived (
    id uuid PRIMARY KEY,
    stream integer NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL CHECK (end_at >= start_at),
    kind text NOT NULL CHECK (kind <> ''),
    place smallint NOT NULL,
    file text NOT NULL,
    bytes bigint NOT NULL,
    made_at timestamptz NOT NULL,
    UNIQUE (place, file)
);
CREATE INDEX ON terms.derived (stream, start_at);

-- What the site allows when a disk fills up.
CREATE TABLE terms.setting (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    early_deletion boolean NOT NULL DEFAULT false,
    reserve_percent integer NOT NULL DEFAULT 5 CHECK (reserve_percent BETWEEN 1 AND 50),
    announce_days integer NOT NULL DEFAULT 7 CHECK (announce_days BETWEEN 1 AND 60),
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO terms.setting DEFAULT VALUES;

-- What each folder has left, as the process that has it mounted saw it last. Free bytes null: it could not be read.
CREATE TABLE terms.room (
    place smallint PRIMARY KEY,
    at timestamptz NOT NULL,
    free_bytes bigint,
    total_bytes bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('good', 'announced', 'pressing', 'unreadable', 'away')),
    days_left integer,
    to_free_bytes bigint NOT NULL DEFAULT 0,
    in_per_day_bytes bigint NOT NULL DEFAULT 0
);

-- How fast a place fills, and how many bytes in it become due on each of the coming days: sampled each hour.
CREATE TABLE terms.rate (
    place smallint PRIMARY KEY,
    at timestamptz NOT NULL,
    in_per_day_bytes bigint NOT NULL,
    due_by_day_bytes bigint[] NOT NULL
);

-- What somebody must look at. One that is over keeps its row, for the report.
CREATE TABLE terms.alarm (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX alarm_open ON terms.alarm (kind, subject) WHERE until IS NULL;

-- The term that was really achieved, a row a camera and day; said in the ledger too.
CREATE TABLE terms.achieved (
    day date NOT NULL,
    camera uuid NOT NULL,
    owner uuid NOT NULL,
    regime text NOT NULL,
    rule text,
    fallen_back text,
    maximum_days integer NOT NULL,
    term_days integer NOT NULL,
    -- The oldest frame that no hold keeps, and the oldest of all; null: nothing is kept.
    oldest_at timestamptz,
    oldest_held_at timestamptz,
    deleted_units integer NOT NULL,
    deleted_bytes bigint NOT NULL,
    early_units integer NOT NULL,
    holds integer NOT NULL,
    within boolean NOT NULL,
    entry uuid NOT NULL,
    PRIMARY KEY (day, camera)
);

GRANT SELECT ON ALL TABLES IN SCHEMA terms TO koinon_web, koinon_worker, koinon_reader;
-- Why somebody holds images is for who may read it on a page, not for reports.
REVOKE SELECT ON terms.hold FROM koinon_reader;
GRANT SELECT (id, decision, camera, since, until, owner, basis, rule, article, keeps_days, placed_at, ends_at, renews, ended_at)
    ON terms.hold TO koinon_reader;
GRANT INSERT ON terms.hold, terms.own_term, terms.derived TO koinon_web, koinon_worker;
GRANT UPDATE (ended_at, ended_by) ON terms.hold TO koinon_web, koinon_worker;
GRANT UPDATE (early_deletion, reserve_percent, announce_days, changed_at) ON terms.setting TO koinon_web, koinon_worker;
GRANT INSERT, UPDATE, DELETE ON terms.garbage, terms.deleted, terms.deletion, terms.room, terms.rate, terms.alarm,
    terms.achieved TO koinon_worker;
GRANT DELETE ON terms.derived TO koinon_web, koinon_worker;
-- The recorder's machine has the folders: it unlinks, and tells what room there is.
GRANT SELECT ON terms.garbage, terms.setting, terms.room, terms.rate, terms.alarm TO koinon_recorder;
GRANT UPDATE (failures, last_error), DELETE ON terms.garbage TO koinon_recorder;
GRANT INSERT, UPDATE ON terms.room, terms.alarm TO koinon_recorder;
GRANT INSERT ON terms.derived TO koinon_recorder;
