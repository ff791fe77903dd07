-- The reference directory: which party has a file on which subject, for which purpose, in which period.
-- Subjects are keyed tokens (HMAC under a key outside the database); the number itself lies beside it, sealed, for
-- the party's own lists.
CREATE TABLE integrator.dossier (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    purpose text NOT NULL,
    subject bytea NOT NULL CHECK (length(subject) = 32),
    sealed_subject bytea NOT NULL,
    "case" text NOT NULL,
    evidence text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL CHECK (valid_until > valid_from),
    registered_at timestamptz NOT NULL,
    ended_at timestamptz
);
-- The look-up of each exchange. A subject may have several dossiers with a party: one that covers the moment is enough.
CREATE INDEX dossier_look_up ON integrator.dossier (party, purpose, subject);
CREATE INDEX dossier_list ON integrator.dossier (party, purpose, id) WHERE ended_at IS NULL;

GRANT USAGE ON SCHEMA integrator TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT, INSERT ON integrator.dossier TO koinon_web, koinon_worker;
GRANT UPDATE (ended_at) ON integrator.dossier TO koinon_web, koinon_worker;
GRANT SELECT ON integrator.dossier TO koinon_reader;
