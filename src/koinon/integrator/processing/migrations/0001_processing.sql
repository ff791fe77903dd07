-- Processing: data sets, what may still be told about them, what was published of them, and cases of re-identification.
-- The rows of a data set are no table here: they lie sealed in the object store, under a key outside the database.
CREATE TABLE processing.data_set (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(name) <= 64),
    title jsonb NOT NULL,
    source text NOT NULL,
    columns jsonb NOT NULL,
    rows_about bigint NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    registered_at timestamptz NOT NULL,
    demo boolean NOT NULL DEFAULT false
);

-- Spent is never more than there is, and never less than it was.
CREATE TABLE processing.budget (
    data_set uuid PRIMARY KEY REFERENCES processing.data_set,
    epsilon numeric(12, 6) NOT NULL CHECK (epsilon > 0),
    delta numeric(14, 12) NOT NULL CHECK (delta >= 0),
    spent_epsilon numeric(12, 6) NOT NULL DEFAULT 0 CHECK (spent_epsilon BETWEEN 0 AND epsilon),
    spent_delta numeric(14, 12) NOT NULL DEFAULT 0 CHECK (spent_delta BETWEEN 0 AND delta)
);

CREATE FUNCTION processing.keep_spent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.data_set <> OLD.data_set OR NEW.epsilon > OLD.epsilon OR NEW.delta > OLD.delta
       OR NEW.spent_epsilon < OLD.spent_epsilon OR NEW.spent_delta < OLD.spent_delta THEN
        RAISE EXCEPTION 'a privacy budget is never raised, given back or taken away';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_spent BEFORE UPDATE OR DELETE ON processing.budget
    FOR EACH ROW EXECUTE FUNCTION processing.keep_spent();

-- A publication's document says how it was made; `body` are its cells or numbers, rows lie in the object store.
CREATE TABLE processing.publication (
    id uuid PRIMARY KEY,
    data_set uuid NOT NULL REFERENCES processing.data_set,
    kind text NOT NULL CHECK (kind IN ('cells', 'rows', 'noisy')),
    title jsonb NOT NULL,
    made jsonb NOT NULL,
    body jsonb,
    entry uuid NOT NULL,
    published_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE INDEX ON processing.publication (data_set, published_at);
CREATE INDEX ON processing.publication (published_at DESC);

CREATE TABLE processing.spending (
    id uuid PRIMARY KEY,
    data_set uuid NOT NULL REFERENCES processing.budget,
    publication uuid NOT NULL REFERENCES processing.publication DEFERRABLE INITIALLY DEFERRED,
    epsilon numeric(12, 6) NOT NULL,
    delta numeric(14, 12) NOT NULL,
    entry uuid NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ON processing.spending (data_set, at);

-- Who stands behind a pseudonym is told only in a case that two humans opened, and only while it lasts. The pseudonym is
-- sealed: with the key of pseudonyms it names a person.
CREATE TABLE processing.reidentification (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    purpose text NOT NULL,
    "case" text NOT NULL,
    sealed_pseudonym bytea NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 20 AND 2000),
    opened_by uuid NOT NULL,
    opened_human text NOT NULL,
    opened_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > opened_at),
    approved_by uuid,
    approved_human text,
    approved_profile text,
    approved_at timestamptz,
    used_at timestamptz,
    CHECK (approved_human IS NULL OR (approved_human <> opened_human AND approved_by <> opened_by))
);
CREATE INDEX ON processing.reidentification (party, opened_at DESC);

GRANT USAGE ON SCHEMA processing TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT, INSERT ON processing.data_set, processing.budget, processing.publication, processing.spending,
    processing.reidentification TO koinon_web, koinon_worker;
GRANT UPDATE (spent_epsilon, spent_delta) ON processing.budget TO koinon_web, koinon_worker;
GRANT UPDATE (withdrawn_at) ON processing.publication TO koinon_web, koinon_worker;
GRANT UPDATE (approved_by, approved_human, approved_profile, approved_at, used_at) ON processing.reidentification
    TO koinon_web, koinon_worker;
GRANT SELECT ON processing.data_set, processing.budget, processing.publication, processing.spending TO koinon_reader;
