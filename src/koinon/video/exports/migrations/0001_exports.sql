-- Recordings that leave as a file: what was asked, by whom, what was made of it. The bytes lie beside the recordings,
-- known to terms.derived, so that they go with what they were made from.

CREATE TABLE exports.export (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    person uuid NOT NULL,
    profile text NOT NULL,
    -- As they stand in the mark and in the manifest: names of the day on which it was asked.
    name text NOT NULL,
    party_name jsonb NOT NULL,
    form text NOT NULL CHECK (form IN ('clip', 'evidence')),
    purpose text NOT NULL,
    "case" text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    emergency boolean NOT NULL DEFAULT false,
    state text NOT NULL CHECK (state IN ('queued', 'making', 'ready', 'stopped', 'failed', 'deleted')),
    code text,
    asked_at timestamptz NOT NULL,
    moved_at timestamptz NOT NULL,
    deletes_at timestamptz,
    attempt integer NOT NULL DEFAULT 0,
    done_us bigint NOT NULL DEFAULT 0,
    total_us bigint NOT NULL CHECK (total_us > 0),
    bytes bigint NOT NULL DEFAULT 0,
    -- The signed manifest, a JWS.
    manifest text,
    -- When its files went and its words with them.
    swept_at timestamptz
);
CREATE INDEX export_own ON exports.export (person, asked_at DESC);
CREATE INDEX export_going ON exports.export (state) WHERE swept_at IS NULL;

-- One camera of an export: under which exchange it was asked, who confirmed it, the promise of its entry.
CREATE TABLE exports.part (
    export uuid NOT NULL REFERENCES exports.export ON DELETE CASCADE,
    number smallint NOT NULL,
    camera uuid NOT NULL,
    exchange uuid NOT NULL,
    second_person uuid,
    second_profile text,
    at_work_station boolean NOT NULL DEFAULT false,
    receipt jsonb NOT NULL,
    -- Whether only the masked picture may have left when it was made.
    masked boolean,
    PRIMARY KEY (export, number),
    UNIQUE (export, camera)
);

-- One file of an attempt to make it. Its pieces are rows of terms.derived.
CREATE TABLE exports.file (
    export uuid NOT NULL REFERENCES exports.export ON DELETE CASCADE,
    attempt integer NOT NULL,
    number integer NOT NULL,
    camera uuid NOT NULL,
    stream integer NOT NULL,
    name text NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    place smallint NOT NULL,
    pieces integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (export, attempt, number)
);

GRANT USAGE ON SCHEMA exports TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA exports TO koinon_web, koinon_worker;
GRANT SELECT (id, party, form, state, code, since, until, emergency, asked_at, moved_at, deletes_at, bytes, swept_at)
    ON exports.export TO koinon_reader;
GRANT INSERT ON exports.export, exports.part TO koinon_web;
GRANT UPDATE (state, code, moved_at) ON exports.export TO koinon_web;
GRANT UPDATE, DELETE ON exports.export TO koinon_worker;
GRANT UPDATE (masked), DELETE ON exports.part TO koinon_worker;
GRANT INSERT, DELETE ON exports.file TO koinon_worker;

-- Which pieces an export has, beside the far more numerous thumbnails.
CREATE INDEX derived_exports ON terms.derived (file) WHERE kind = 'export';
