-- Results that become data sets by themselves. An operator proposes it for a flow of a party, a manager of that party
-- agrees; each batch that ends meanwhile has a line here, in the transaction in which it ended.
CREATE TABLE deferred.data_set_order (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    flow text NOT NULL,
    purpose text NOT NULL,
    fields text[] NOT NULL CHECK (cardinality(fields) > 0),
    title jsonb NOT NULL,
    epsilon numeric(12, 6) NOT NULL CHECK (epsilon > 0),
    delta numeric(14, 12) NOT NULL CHECK (delta >= 0),
    proposed_by uuid NOT NULL,
    proposed_at timestamptz NOT NULL,
    agreed_by uuid,
    agreed_at timestamptz,
    ended_at timestamptz,
    CHECK ((agreed_by IS NULL) = (agreed_at IS NULL)),
    CHECK (agreed_by <> proposed_by)
);
-- One for a flow and purpose of a party: two would give the same rows two budgets.
CREATE UNIQUE INDEX ON deferred.data_set_order (party, flow, purpose) WHERE ended_at IS NULL;

CREATE TABLE deferred.data_set_line (
    batch uuid PRIMARY KEY REFERENCES deferred.batch (id),
    "order" uuid NOT NULL REFERENCES deferred.data_set_order (id),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'registered', 'refused')),
    name text,
    code text,
    tries smallint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL,
    CHECK ((state = 'registered') = (name IS NOT NULL)),
    CHECK ((state = 'refused') = (code IS NOT NULL))
);
CREATE INDEX ON deferred.data_set_line (at) WHERE state = 'waiting';
CREATE INDEX ON deferred.data_set_line ("order", at DESC);

GRANT SELECT, INSERT ON deferred.data_set_order, deferred.data_set_line TO koinon_web, koinon_worker;
GRANT UPDATE (agreed_by, agreed_at, ended_at) ON deferred.data_set_order TO koinon_web, koinon_worker;
GRANT UPDATE (state, name, code, tries, at) ON deferred.data_set_line TO koinon_web, koinon_worker;
GRANT SELECT ON deferred.data_set_order, deferred.data_set_line TO koinon_reader;
