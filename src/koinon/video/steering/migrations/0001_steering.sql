-- Who has or waits for a turn at a camera. Rows are of uses that run; what they led to stands in the ledger.
CREATE TABLE steering.claim (
    use uuid PRIMARY KEY,
    camera uuid NOT NULL,
    party uuid NOT NULL,
    person uuid NOT NULL,
    rank smallint NOT NULL,
    asked_at timestamptz NOT NULL,
    held_since timestamptz,
    moved_at timestamptz,
    alive_until timestamptz NOT NULL,
    ousted_by uuid
);
CREATE INDEX ON steering.claim (camera);
-- The last line of defence: two people never have one camera.
CREATE UNIQUE INDEX ON steering.claim (camera) WHERE held_since IS NOT NULL;

GRANT USAGE ON SCHEMA steering TO koinon_web;
GRANT SELECT, INSERT, DELETE ON steering.claim TO koinon_web;
GRANT UPDATE (held_since, moved_at, alive_until, ousted_by) ON steering.claim TO koinon_web;
