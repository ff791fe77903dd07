-- Decisions of the public prosecutor: without one, images past an age that their regime names are shown to nobody. The
-- document itself is kept elsewhere; its SHA-256 says which one was meant.
CREATE TABLE rights.decision (
    id uuid PRIMARY KEY,
    -- Whose people may look, and who wrote it down: the same party, or the owner of all the cameras for another.
    party uuid NOT NULL,
    "case" text NOT NULL CHECK (length("case") BETWEEN 1 AND 64),
    authority text NOT NULL,
    reference text NOT NULL CHECK (reference <> ''),
    decided_on date NOT NULL,
    cameras uuid[] NOT NULL CHECK (cardinality(cameras) BETWEEN 1 AND 100),
    -- Of the images.
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    -- Of the decision: nothing is shown on it from then on.
    ends_at timestamptz NOT NULL,
    document_sha256 bytea NOT NULL CHECK (length(document_sha256) = 32),
    recorded_by uuid NOT NULL,
    recorded_party uuid NOT NULL,
    recorded_profile text NOT NULL,
    recorded_at timestamptz NOT NULL,
    ended_by uuid,
    ended_at timestamptz,
    CHECK ((ended_by IS NULL) = (ended_at IS NULL)),
    CHECK (ends_at > recorded_at)
);
CREATE INDEX decision_of_case ON rights.decision (party, "case");
CREATE INDEX decision_recorded ON rights.decision (recorded_party, recorded_at);
-- What is taken away ends the views that rest on it, in every process, within a second.
CREATE TRIGGER raise_epoch AFTER UPDATE ON rights.decision FOR EACH ROW EXECUTE FUNCTION standing.raise_epoch();

GRANT SELECT ON rights.decision TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON rights.decision TO koinon_web;
GRANT UPDATE (ended_by, ended_at) ON rights.decision TO koinon_web;
