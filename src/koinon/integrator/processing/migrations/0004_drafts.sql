-- What an operator wants to publish, as it was made or asked; another operator looks at it and gives their word, which
-- covers `sha256` and nothing else. Noise is drawn, and paid, when it is published.
CREATE TABLE processing.draft (
    id uuid PRIMARY KEY,
    data_set uuid NOT NULL REFERENCES processing.data_set,
    kind text NOT NULL CHECK (kind IN ('cells', 'rows', 'noisy')),
    title jsonb NOT NULL,
    what jsonb NOT NULL,
    body jsonb,
    making uuid REFERENCES processing.making,
    sha256 text NOT NULL CHECK (length(sha256) = 64),
    proposed_by uuid NOT NULL,
    proposed_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'agreed', 'published', 'discarded', 'changed')),
    agreed_by uuid,
    agreed_party uuid,
    agreed_at timestamptz,
    ended_at timestamptz,
    publication uuid REFERENCES processing.publication,
    CHECK ((kind = 'rows') = (making IS NOT NULL)),
    CHECK ((kind = 'cells') = (body IS NOT NULL)),
    CHECK (agreed_by <> proposed_by),
    CHECK (num_nulls(agreed_by, agreed_party, agreed_at) IN (0, 3)),
    CHECK (state NOT IN ('agreed', 'published') OR agreed_by IS NOT NULL),
    CHECK ((state = 'published') = (publication IS NOT NULL)),
    CHECK ((ended_at IS NOT NULL) = (state IN ('published', 'discarded', 'changed')))
);
CREATE INDEX ON processing.draft (id DESC) WHERE ended_at IS NULL;

GRANT SELECT, INSERT ON processing.draft TO koinon_web;
GRANT UPDATE (state, agreed_by, agreed_party, agreed_at, ended_at, publication) ON processing.draft TO koinon_web;
