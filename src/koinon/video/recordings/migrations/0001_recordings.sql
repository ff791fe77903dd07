-- The index of what was recorded: units (bytes lie on disk or in a bucket, see place), the gaps between them, how
-- pictures are decoded; and who records which camera now.

-- A folder is known by its marker file, a bucket by its marker object: never by where it seems to be.
CREATE TABLE recordings.place (
    id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    marker uuid NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('folder', 's3')),
    -- Of the folder on its machine; of the bucket as the setting has it.
    address text NOT NULL,
    host text NOT NULL DEFAULT '',
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    -- Until when a recorder is known to have written there: orphans are looked for from the day before on.
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- What a player needs before the first frame: `ftyp` and `moov`, without times, each once.
CREATE TABLE recordings.sample_entry (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
    codec text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    init bytea NOT NULL
);

-- No foreign keys: some sixty rows a second for a region of 3,500 cameras, and the register never forgets a stream.
CREATE TABLE recordings.unit (
    start_at timestamptz NOT NULL,
    fence bigint NOT NULL,
    camera_us bigint,
    run uuid NOT NULL,
    stream integer NOT NULL,
    wall_us integer NOT NULL CHECK (wall_us >= 0),
    media_ticks bigint NOT NULL CHECK (media_ticks >= 0),
    bytes integer NOT NULL CHECK (bytes > 0),
    frames integer NOT NULL CHECK (frames > 0),
    lost integer NOT NULL,
    damaged integer NOT NULL,
    number integer NOT NULL,
    entry integer NOT NULL,
    delta_us integer NOT NULL,
    copy smallint NOT NULL CHECK (copy IN (0, 1)),
    place smallint NOT NULL,
    file text NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    key_frames bytea NOT NULL,
    end_reason text,
    PRIMARY KEY (stream, start_at, copy)
);

CREATE TABLE recordings.gap (
    stream integer NOT NULL,
    copy smallint NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL DEFAULT '',
    PRIMARY KEY (stream, copy, start_at),
    CHECK (end_at > start_at)
);

-- Files and rows that do not belong together, kept until somebody has looked.
CREATE TABLE recordings.orphan (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place smallint NOT NULL,
    file text NOT NULL,
    why text NOT NULL CHECK (why IN ('unreadable', 'unknown_camera', 'overlap', 'file_missing')),
    stream integer,
    copy smallint,
    start_at timestamptz,
    found_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (place, file, why)
);

-- Recorder processes; one that has not been seen for as long as a lease lasts is dead.
CREATE TABLE recordings.recorder (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    tap_address text NOT NULL DEFAULT '',
    place smallint,
    -- Whether it has a folder to write to; one that has none leaves the cameras to others.
    able boolean NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- Who records which stream now. What counts is the lease `video/<stream>/<copy>`; this says where to find its holder.
CREATE TABLE recordings.serving (
    stream integer NOT NULL,
    copy smallint NOT NULL,
    recorder uuid NOT NULL,
    fence bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, copy)
);
CREATE INDEX ON recordings.serving (recorder);

CREATE TABLE recordings.health (
    stream integer NOT NULL,
    copy smallint NOT NULL,
    state text NOT NULL,
    detail text NOT NULL DEFAULT '',
    -- Since when it is in this state.
    since timestamptz NOT NULL,
    last_unit_at timestamptz,
    lost bigint NOT NULL DEFAULT 0,
    damaged bigint NOT NULL DEFAULT 0,
    bad_nals bigint NOT NULL DEFAULT 0,
    delta_us integer,
    camera_us bigint,
    fps_said real,
    fps_measured real,
    alarm text,
    told_at timestamptz NOT NULL,
    PRIMARY KEY (stream, copy)
);

GRANT SELECT ON ALL TABLES IN SCHEMA recordings TO koinon_web, koinon_worker, koinon_recorder, koinon_reader;
GRANT INSERT ON ALL TABLES IN SCHEMA recordings TO koinon_recorder;
GRANT UPDATE ON recordings.place, recordings.gap, recordings.recorder, recordings.serving, recordings.health
    TO koinon_recorder;
GRANT UPDATE (place, file) ON recordings.unit TO koinon_recorder;
GRANT DELETE ON recordings.gap, recordings.recorder, recordings.serving, recordings.health TO koinon_recorder;
-- What is past its term, and what an operator has looked at.
GRANT DELETE ON recordings.unit, recordings.gap, recordings.orphan TO koinon_worker;
GRANT INSERT ON recordings.orphan, recordings.gap TO koinon_worker;
GRANT UPDATE ON recordings.gap TO koinon_worker;
