-- Operations: what each flow did, hour by hour, in numbers; never whom it was about, never a case or an exchange.

-- One number: how often in that hour. `kind` and `name`: outcome (released, or the code of a refusal),
-- failure (the code of a fault of ours), latency (upper bound in
-- milliseconds), filtered (field), source (source/service:status).
CREATE TABLE operations.hour_count (
    at timestamptz NOT NULL,
    flow text NOT NULL,
    party uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('outcome', 'failure', 'latency', 'filtered', 'source')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    count bigint NOT NULL CHECK (count > 0),
    PRIMARY KEY (flow, at, party, kind, name)
);
CREATE INDEX ON operations.hour_count (at);

-- Availability is judged by the minute. `failed` are questions that we failed, not those that we refused.
CREATE TABLE operations.minute (
    at timestamptz NOT NULL,
    flow text NOT NULL,
    asked bigint NOT NULL CHECK (asked > 0),
    failed bigint NOT NULL CHECK (failed BETWEEN 0 AND asked),
    PRIMARY KEY (flow, at)
);
CREATE INDEX ON operations.minute (at);

-- When which releasing process lived: between these, nobody could have asked.
CREATE TABLE operations.alive (
    process uuid PRIMARY KEY,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until >= since)
);
CREATE INDEX ON operations.alive (until);

CREATE TABLE operations.alert_rule (
    id uuid PRIMARY KEY,
    flow text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('errors', 'silence', 'latency')),
    threshold double precision NOT NULL CHECK (threshold > 0),
    window_minutes integer NOT NULL CHECK (window_minutes BETWEEN 1 AND 10080),
    made_by uuid NOT NULL,
    made_at timestamptz NOT NULL,
    ended_at timestamptz
);

CREATE TABLE operations.alert (
    id uuid PRIMARY KEY,
    rule uuid NOT NULL REFERENCES operations.alert_rule,
    measured double precision NOT NULL,
    raised_at timestamptz NOT NULL,
    seen_at timestamptz,
    seen_by uuid,
    ended_at timestamptz
);
CREATE UNIQUE INDEX alert_open ON operations.alert (rule) WHERE ended_at IS NULL;
CREATE INDEX ON operations.alert (raised_at DESC);

GRANT USAGE ON SCHEMA operations TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT, INSERT ON operations.hour_count, operations.minute, operations.alive, operations.alert_rule,
    operations.alert TO koinon_web, koinon_worker;
GRANT UPDATE (count) ON operations.hour_count TO koinon_web, koinon_worker;
GRANT UPDATE (asked, failed) ON operations.minute TO koinon_web, koinon_worker;
GRANT UPDATE (until) ON operations.alive TO koinon_web, koinon_worker;
GRANT UPDATE (ended_at) ON operations.alert_rule TO koinon_web, koinon_worker;
GRANT UPDATE (measured, seen_at, seen_by, ended_at) ON operations.alert TO koinon_web, koinon_worker;
GRANT DELETE ON operations.hour_count, operations.minute, operations.alive, operations.alert, operations.alert_rule
    TO koinon_worker;
