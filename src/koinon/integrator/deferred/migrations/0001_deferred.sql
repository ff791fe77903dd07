-- Deferred mode: batches of questions of a consumer, in chunks with checkpoints. Records themselves lie in objects,
-- sealed; here stands what is where, what is done, and why something is not.

-- What a consumer may have and has had. `served` is its virtual time in records: who has had least goes first.
CREATE TABLE deferred.consumer (
    party uuid PRIMARY KEY,
    served bigint NOT NULL DEFAULT 0,
    at_once smallint NOT NULL DEFAULT 2 CHECK (at_once > 0),
    open_at_most smallint NOT NULL DEFAULT 20 CHECK (open_at_most > 0)
);

CREATE TABLE deferred.batch (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    number text NOT NULL CHECK (length(number) BETWEEN 1 AND 36),
    system uuid NOT NULL,
    key text NOT NULL,
    flow text NOT NULL,
    purpose text NOT NULL,
    "case" text NOT NULL,
    "authorisation" text,
    fields text[] NOT NULL,
    syntax text NOT NULL,
    results text[] NOT NULL,
    priority smallint NOT NULL,
    length bigint NOT NULL CHECK (length > 0),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    received bigint NOT NULL DEFAULT 0 CHECK (received <= length),
    state text NOT NULL DEFAULT 'receiving',
    code text,
    facts jsonb,
    records bigint,
    rejected bigint,
    totals jsonb,
    files jsonb,
    receipt text,
    created_at timestamptz NOT NULL,
    moved_at timestamptz NOT NULL,
    forgotten_at timestamptz,
    UNIQUE (party, number)
);
CREATE INDEX batch_party ON deferred.batch (party, id);
CREATE INDEX batch_kept ON deferred.batch (moved_at) WHERE forgotten_at IS NULL;

-- Every state a batch was in; never changed.
CREATE TABLE deferred.step (
    batch uuid NOT NULL REFERENCES deferred.batch (id),
    number smallint NOT NULL,
    state text NOT NULL,
    code text,
    at timestamptz NOT NULL,
    PRIMARY KEY (batch, number)
);

-- What has been uploaded, piece by piece; the bytes are an object each.
CREATE TABLE deferred.piece (
    batch uuid NOT NULL REFERENCES deferred.batch (id),
    start bigint NOT NULL,
    length integer NOT NULL CHECK (length > 0),
    sha256 bytea NOT NULL,
    PRIMARY KEY (batch, start)
);

-- Work: number 0 checks, 1 and up are chunks, the last finishes. Whoever takes one raises its fence; only under that
-- fence may it be marked done. `entry` is the chunk's in the exchange log, about who was
-- known; `refused_entry` that about who was not; `first` is its first record.
CREATE TABLE deferred.task (
    batch uuid NOT NULL REFERENCES deferred.batch (id),
    number integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('check', 'chunk', 'finish')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done')),
    records integer NOT NULL,
    first bigint NOT NULL DEFAULT 0,
    fence integer NOT NULL DEFAULT 0,
    attempts smallint NOT NULL DEFAULT 0,
    worker text,
    alive_until timestamptz,
    run_after timestamptz NOT NULL DEFAULT clock_timestamp(),
    waits_for text[],
    waits_since timestamptz,
    counts jsonb,
    part text,
    entry uuid,
    refused_entry uuid,
    leaf_hash bytea,
    promised_at timestamptz,
    done_at timestamptz,
    PRIMARY KEY (batch, number)
);
CREATE INDEX task_open ON deferred.task (batch, number) WHERE state <> 'done';

GRANT USAGE ON SCHEMA deferred TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA deferred TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT, UPDATE ON deferred.consumer, deferred.batch, deferred.task TO koinon_web, koinon_worker;
GRANT INSERT ON deferred.step, deferred.piece TO koinon_web, koinon_worker;
GRANT DELETE ON deferred.piece, deferred.task TO koinon_worker;
