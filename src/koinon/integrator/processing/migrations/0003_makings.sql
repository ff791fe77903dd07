-- Anonymous rows take long to make, and only once may some of a data set be published: they are made first, looked at,
-- and then published or thrown away. The rows that were made lie sealed in the object store.
CREATE TABLE processing.making (
    id uuid PRIMARY KEY,
    data_set uuid NOT NULL REFERENCES processing.data_set,
    asked jsonb NOT NULL,
    asked_by uuid,
    asked_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'working', 'made', 'failed', 'published', 'discarded')),
    step text NOT NULL DEFAULT '',
    share real NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 1),
    made jsonb,
    code text,
    facts jsonb,
    ended_at timestamptz,
    publication uuid REFERENCES processing.publication,
    CHECK (state NOT IN ('made', 'published') OR made IS NOT NULL),
    CHECK ((state = 'published') = (publication IS NOT NULL)),
    CHECK ((state = 'failed') = (code IS NOT NULL))
);
CREATE INDEX ON processing.making (data_set, id DESC);

GRANT SELECT, INSERT ON processing.making TO koinon_web, koinon_worker;
GRANT UPDATE (state, step, share, made, code, facts, ended_at, publication) ON processing.making
    TO koinon_web, koinon_worker;
