-- What people do about rights to images: a second person's word, and the look back at declared emergencies.

-- One human asks, another human of the party confirms; the confirmation is for exactly that view, once.
CREATE TABLE rights.confirmation (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    asked_by uuid NOT NULL,
    asked_profile text NOT NULL,
    -- SHA-256 of the canonical request: another camera, interval or reason is another request.
    digest bytea NOT NULL CHECK (length(digest) = 32),
    request jsonb NOT NULL,
    asked_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    answer text CHECK (answer IN ('confirmed', 'declined')),
    answered_by uuid,
    answered_profile text,
    answered_at timestamptz,
    used_at timestamptz,
    CHECK ((answer IS NULL) = (answered_by IS NULL)),
    CHECK (answered_by IS NULL OR answered_by <> asked_by)
);
CREATE INDEX confirmation_open ON rights.confirmation (party, asked_at) WHERE answer IS NULL;

-- Every use of a declared emergency stands here until somebody looked back at it.
CREATE TABLE rights.emergency (
    id uuid PRIMARY KEY,
    exchange uuid NOT NULL UNIQUE,
    party uuid NOT NULL,
    person uuid NOT NULL,
    camera uuid NOT NULL,
    owner uuid NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    declared_at timestamptz NOT NULL,
    reviewed_by uuid,
    reviewed_at timestamptz,
    justified boolean,
    note text NOT NULL DEFAULT '',
    CHECK ((reviewed_by IS NULL) = (reviewed_at IS NULL) AND (reviewed_by IS NULL) = (justified IS NULL)),
    CHECK (reviewed_by IS NULL OR reviewed_by <> person)
);
CREATE INDEX emergency_open ON rights.emergency (party, declared_at) WHERE reviewed_at IS NULL;
CREATE INDEX emergency_owner ON rights.emergency (owner, declared_at);

GRANT USAGE ON SCHEMA rights TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON rights.confirmation, rights.emergency TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON rights.confirmation, rights.emergency TO koinon_web;
GRANT UPDATE (answer, answered_by, answered_profile, answered_at, used_at) ON rights.confirmation TO koinon_web;
GRANT UPDATE (reviewed_by, reviewed_at, justified, note) ON rights.emergency TO koinon_web;
GRANT DELETE ON rights.confirmation TO koinon_worker;
