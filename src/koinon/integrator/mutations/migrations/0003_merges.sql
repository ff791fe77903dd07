-- A merge of two numbers can be taken back: each is kept by itself, and `replacement` follows from those that stand.

-- `since`: from when a file may rest on the merge: the day it holds from, or when it was passed on, whichever was first.
CREATE TABLE mutations.merge (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old bytea NOT NULL CHECK (length(old) = 32),
    new bytea NOT NULL CHECK (length(new) = 32),
    since timestamptz NOT NULL,
    source text NOT NULL,
    sequence bigint,
    undone_at timestamptz,
    undone_source text,
    undone_sequence bigint,
    CHECK (old <> new),
    CHECK ((undone_at IS NULL) = (undone_sequence IS NULL))
);
CREATE UNIQUE INDEX merge_standing ON mutations.merge (old, new) WHERE undone_at IS NULL;
CREATE INDEX merge_standing_new ON mutations.merge (new) WHERE undone_at IS NULL;

-- What stood before: the pairs with nothing between them. Where the publication is kept no more nobody knows since when.
INSERT INTO mutations.merge (old, new, since, source, sequence)
SELECT r.old, r.new, coalesce(p.since, '-infinity'), coalesce(p.source, 'rijksregister'), p.sequence
FROM mutations.replacement r
LEFT JOIN LATERAL (
    SELECT least(received_at, effective_on::timestamp AT TIME ZONE 'Europe/Brussels') AS since, source, sequence
    FROM mutations.publication
    WHERE kind = 'replaced' AND subject = r.old AND replaced_by = r.new ORDER BY sequence DESC LIMIT 1
) p ON true
WHERE p.sequence IS NOT NULL OR NOT EXISTS (
    SELECT 1 FROM mutations.replacement a JOIN mutations.replacement b ON a.new = b.old
    WHERE a.old = r.old AND b.new = r.new AND a.new NOT IN (r.old, r.new)
);

-- `separated`: by `replaced_by` a number was replaced that is of a person of its own again.
ALTER TABLE mutations.publication DROP CONSTRAINT publication_kind_check;
ALTER TABLE mutations.publication ADD CONSTRAINT publication_kind_check
    CHECK (kind IN ('changed', 'corrected', 'died', 'replaced', 'separated', 'void'));
ALTER TABLE mutations.publication DROP CONSTRAINT publication_check1;
ALTER TABLE mutations.publication ADD CONSTRAINT publication_other
    CHECK ((kind IN ('replaced', 'separated')) = (replaced_by IS NOT NULL));

-- An operator's act where the source cannot: asked with a reason, confirmed by another human who names both numbers.
-- The numbers themselves are not kept.
CREATE TABLE mutations.undoing (
    id uuid PRIMARY KEY,
    old bytea NOT NULL,
    new bytea NOT NULL,
    reason text NOT NULL,
    asked_by uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    confirmed_by uuid,
    withdrawn_by uuid,
    ended_at timestamptz,
    CHECK (num_nonnulls(confirmed_by, withdrawn_by) <= 1),
    CHECK ((ended_at IS NULL) = (num_nonnulls(confirmed_by, withdrawn_by) = 0))
);

GRANT SELECT ON mutations.merge, mutations.undoing TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON mutations.merge, mutations.undoing TO koinon_web, koinon_worker;
GRANT UPDATE (undone_at, undone_source, undone_sequence) ON mutations.merge TO koinon_web, koinon_worker;
GRANT UPDATE (confirmed_by, withdrawn_by, ended_at) ON mutations.undoing TO koinon_web;
GRANT DELETE ON mutations.replacement TO koinon_web, koinon_worker;
