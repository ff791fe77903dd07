-- Decisions about the catalogue: documents that are proposed, what members sign about them, what is said of them. Nothing is
-- changed or deleted: a new version is a new document. Rows are not believed by themselves; each document and each
-- statement is held against its line in the register log and against its signer's key when it is read.
CREATE TABLE catalogue.proposal (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('norm', 'standard', 'architecture', 'authentication', 'designation')),
    name text NOT NULL CHECK (name ~ '^[a-z0-9]+([-_][a-z0-9]+)*$' AND length(name) <= 64),
    version integer NOT NULL CHECK (version > 0),
    document bytea NOT NULL,
    proposed_by uuid NOT NULL,
    proposed_at timestamptz NOT NULL,
    entry uuid NOT NULL,
    UNIQUE (kind, name, version)
);

CREATE TABLE catalogue.statement (
    proposal uuid NOT NULL REFERENCES catalogue.proposal,
    sequence integer NOT NULL CHECK (sequence > 0),
    body bytea NOT NULL,
    proof bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    entry uuid NOT NULL,
    PRIMARY KEY (proposal, sequence)
);

CREATE TABLE catalogue.remark (
    id uuid PRIMARY KEY,
    proposal uuid NOT NULL REFERENCES catalogue.proposal,
    text text NOT NULL CHECK (length(text) BETWEEN 1 AND 4000),
    written_by uuid NOT NULL,
    written_at timestamptz NOT NULL
);
CREATE INDEX ON catalogue.remark (proposal, id);

GRANT USAGE ON SCHEMA catalogue TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT, INSERT ON catalogue.proposal, catalogue.statement, catalogue.remark TO koinon_web;
GRANT SELECT ON catalogue.proposal, catalogue.statement TO koinon_worker, koinon_reader;
