-- The root of trust and the acts that follow from it. Both are evidence: rows are added, never changed. What they mean
-- is computed from the signed bytes alone (koinon.trust.standing.acts), so no other column could widen a right.
CREATE TABLE standing.genesis (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    document bytea NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE standing.act (
    sequence bigint PRIMARY KEY CHECK (sequence > 0),
    body bytea NOT NULL CHECK (octet_length(body) <= 32768),
    proof bytea NOT NULL CHECK (octet_length(proof) <= 16384),
    recorded_at timestamptz NOT NULL
);

GRANT USAGE ON SCHEMA standing TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
GRANT SELECT ON standing.genesis, standing.act TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON standing.act TO koinon_web, koinon_worker;
