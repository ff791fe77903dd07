-- Parties that try: whatever they ask reaches simulated sources only. A change here raises the epoch, so that no process
-- goes on deciding by what was before.
CREATE TABLE operations.sandbox (
    party uuid PRIMARY KEY,
    opened_by uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    reset_at timestamptz
);
CREATE TRIGGER raise_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON operations.sandbox
    FOR EACH STATEMENT EXECUTE FUNCTION standing.raise_epoch();

-- Nobody's sandbox is closed: what was asked in it would begin to reach real sources with the same files.
GRANT SELECT, INSERT ON operations.sandbox TO koinon_web;
GRANT UPDATE (reset_at) ON operations.sandbox TO koinon_web;
GRANT SELECT ON operations.sandbox TO koinon_worker;
