-- Background jobs. A job is a row of the transaction that asks for it.

CREATE TABLE base.job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    key text,
    payload jsonb,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    run_after timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    worker text,
    -- A running job whose worker has not said for so long that it lives is taken from it.
    alive_until timestamptz,
    last_error text,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((state = 'running') = (alive_until IS NOT NULL)),
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL))
);
CREATE INDEX job_queued ON base.job (run_after, id) WHERE state = 'queued';
CREATE INDEX job_running ON base.job (alive_until) WHERE state = 'running';
CREATE INDEX job_finished ON base.job (finished_at) WHERE state IN ('done', 'failed');
-- A key is used once as long as its row is kept: the tick of a periodic job, the id of what caused it.
CREATE UNIQUE INDEX job_key ON base.job (kind, key) WHERE key IS NOT NULL;

GRANT SELECT, INSERT ON base.job TO koinon_web, koinon_worker, koinon_sequencer;
GRANT UPDATE, DELETE ON base.job TO koinon_worker;
GRANT SELECT ON base.job TO koinon_reader;
