-- Documents and what parties said about them, as bytes: what counts is computed from digests and signatures
-- (koinon.trust.agreements.policy), so that a row changed or added here gives nobody a right.
CREATE TABLE agreements.convention (
    id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    digest text NOT NULL UNIQUE,
    document bytea NOT NULL,
    rules bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    advice_asked_at timestamptz,
    PRIMARY KEY (id, version)
);

CREATE TABLE agreements.statement (
    ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    convention_digest text NOT NULL REFERENCES agreements.convention (digest),
    token text NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX ON agreements.statement (convention_digest);

CREATE TABLE agreements.authorisation (
    number text PRIMARY KEY,
    digest text NOT NULL UNIQUE,
    document bytea NOT NULL,
    requested_at timestamptz NOT NULL
);

GRANT USAGE ON SCHEMA agreements TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA agreements TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON agreements.convention, agreements.statement, agreements.authorisation TO koinon_web, koinon_worker;
GRANT UPDATE (advice_asked_at) ON agreements.convention TO koinon_web, koinon_worker;
