-- Rule documents as canonical bytes: what counts is computed from the digest of the bytes and from signed acts, so that
-- a row changed or added here gives nobody a right. Documents and reports are added, never changed.
CREATE TABLE rules.document (
    id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    digest text NOT NULL UNIQUE,
    document bytea NOT NULL CHECK (octet_length(document) <= 262144),
    proposed_at timestamptz NOT NULL,
    PRIMARY KEY (id, version)
);

-- The words of the bank (names and their texts); the newest row counts. No right rests on it.
CREATE TABLE rules.vocabulary (
    ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document jsonb NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE rules.report (
    ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('analysis', 'replay')),
    digest text NOT NULL REFERENCES rules.document (digest),
    report jsonb NOT NULL,
    passed boolean NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX ON rules.report (digest);

-- What was asked of the bank, for replay and for explaining a past decision: no subject, no person, no case. A sample,
-- erased after its term: facts and fields go first, the row says that they were there.
CREATE TABLE rules.decision_input (
    exchange uuid NOT NULL,
    resource text NOT NULL,
    action text NOT NULL,
    purpose text NOT NULL,
    party_kind text NOT NULL,
    party text NOT NULL,
    profile text NOT NULL,
    fields text[],
    facts jsonb,
    decided_at timestamptz NOT NULL,
    allowed boolean NOT NULL,
    code text NOT NULL,
    given text[],
    grounds text[] NOT NULL,
    PRIMARY KEY (exchange, resource)
);
CREATE INDEX ON rules.decision_input (decided_at);

GRANT USAGE ON SCHEMA rules TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA rules TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON ALL TABLES IN SCHEMA rules TO koinon_web, koinon_worker;
GRANT UPDATE (fields, facts, given), DELETE ON rules.decision_input TO koinon_worker;
