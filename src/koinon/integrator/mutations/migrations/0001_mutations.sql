-- Mutations: that something about a person changed at a source, never what. A source publishes keys under its own
-- sequence numbers; each subscription has an append-only sequence of its own, without gaps.

-- How far each source has come. `next` is the first number of which nothing was passed on yet.
CREATE TABLE mutations.stream (
    source text PRIMARY KEY,
    next bigint NOT NULL CHECK (next > 0),
    moved_at timestamptz NOT NULL
);

-- What a source published. Subjects are tokens of the reference directory; the successor of a number lies sealed.
-- `digest` is keyed: the same number with other content is found out, and nothing is told to who reads the table.
CREATE TABLE mutations.publication (
    source text NOT NULL REFERENCES mutations.stream (source),
    sequence bigint NOT NULL,
    resource text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('changed', 'corrected', 'died', 'replaced', 'void')),
    subject bytea CHECK (length(subject) = 32),
    replaced_by bytea CHECK (length(replaced_by) = 32),
    sealed_replaced_by bytea,
    effective_on date,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source, sequence),
    CHECK ((kind = 'void') = (subject IS NULL)),
    CHECK ((kind = 'replaced') = (replaced_by IS NOT NULL)),
    CHECK ((replaced_by IS NULL) = (sealed_replaced_by IS NULL))
);
CREATE INDEX publication_received ON mutations.publication (received_at);

-- Numbers that were replaced, each with every later one of the same person: who has a file under an old number is
-- still told.
CREATE TABLE mutations.replacement (
    old bytea NOT NULL,
    new bytea NOT NULL,
    PRIMARY KEY (new, old),
    CHECK (old <> new)
);
CREATE INDEX replacement_old ON mutations.replacement (old);

-- A system of a party that is told about the party's files for one flow and purpose. Whom it is told about is not kept
-- here: that is whoever stands in the reference directory at the moment, so it cannot outlive a file.
CREATE TABLE mutations.subscription (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    system uuid NOT NULL,
    key text NOT NULL,
    flow text NOT NULL,
    purpose text NOT NULL,
    "case" text NOT NULL,
    "authorisation" text,
    resources text[] NOT NULL CHECK (cardinality(resources) > 0),
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_code text,
    CHECK ((ended_at IS NULL) = (ended_code IS NULL))
);
CREATE UNIQUE INDEX subscription_one ON mutations.subscription (party, system, flow, purpose) WHERE ended_at IS NULL;
CREATE INDEX subscription_look_up ON mutations.subscription (party, purpose) WHERE ended_at IS NULL;

-- The end of a subscription's sequence: moved by whoever passes on, and by nobody else.
CREATE TABLE mutations.tail (
    subscription uuid PRIMARY KEY REFERENCES mutations.subscription (id),
    last bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- How far its consumer has come. Numbers up to `floor` are kept no more; `delivered` is the highest that left.
CREATE TABLE mutations.cursor (
    subscription uuid PRIMARY KEY REFERENCES mutations.subscription (id),
    floor bigint NOT NULL DEFAULT 0,
    acknowledged bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    acknowledged_at timestamptz,
    stopped_code text,
    CHECK (0 <= acknowledged AND acknowledged <= delivered)
) WITH (fillfactor = 50);

CREATE TABLE mutations.item (
    subscription uuid NOT NULL REFERENCES mutations.subscription (id),
    number bigint NOT NULL CHECK (number > 0),
    source text NOT NULL,
    sequence bigint NOT NULL,
    dossier uuid NOT NULL,
    passed_at timestamptz NOT NULL,
    PRIMARY KEY (subscription, number)
);

-- Where a subscription is pushed to, with a back-off of its own. Whoever takes one raises its fence.
CREATE TABLE mutations.push (
    subscription uuid PRIMARY KEY REFERENCES mutations.subscription (id),
    address text NOT NULL,
    run_after timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    last_code text,
    fence bigint NOT NULL DEFAULT 0,
    taken_until timestamptz
) WITH (fillfactor = 50);

-- Who has a file on this person: asked the other way round than an exchange asks it.
CREATE INDEX dossier_by_subject ON integrator.dossier (subject) WHERE ended_at IS NULL;

GRANT USAGE ON SCHEMA mutations TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA mutations TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON ALL TABLES IN SCHEMA mutations TO koinon_web, koinon_worker;
GRANT UPDATE ON mutations.stream, mutations.subscription, mutations.tail, mutations.cursor, mutations.push
    TO koinon_web, koinon_worker;
GRANT DELETE ON mutations.push TO koinon_web, koinon_worker;
GRANT DELETE ON mutations.publication, mutations.item TO koinon_worker;
