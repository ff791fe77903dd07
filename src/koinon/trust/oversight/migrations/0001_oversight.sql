-- A complaint's words and the identity of who complains are sealed in the exchange log (entry `filed`), where they can be
-- erased; here stands only what its handling needs.
CREATE TABLE oversight.complaint (
    id uuid PRIMARY KEY,
    against uuid NOT NULL,
    filed uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('received', 'admissible', 'inadmissible', 'investigated')),
    received_at timestamptz NOT NULL,
    moved_at timestamptz NOT NULL
);
CREATE INDEX ON oversight.complaint (received_at DESC);

CREATE TABLE oversight.complaint_exchange (
    complaint uuid NOT NULL REFERENCES oversight.complaint,
    entry uuid NOT NULL,
    PRIMARY KEY (complaint, entry)
);

-- Keys that members offered and that the chair has yet to appoint; nothing rests on them.
CREATE TABLE oversight.offered_signer (
    kid text PRIMARY KEY,
    document bytea NOT NULL CHECK (octet_length(document) <= 8192),
    offered_by uuid,
    offered_at timestamptz NOT NULL
);

GRANT USAGE ON SCHEMA oversight TO koinon_web, koinon_worker;
GRANT SELECT, INSERT ON oversight.complaint, oversight.complaint_exchange, oversight.offered_signer
    TO koinon_web, koinon_worker;
GRANT UPDATE (state, moved_at) ON oversight.complaint TO koinon_web, koinon_worker;
GRANT DELETE ON oversight.offered_signer TO koinon_web, koinon_worker;
