-- The register: who takes part. Dates of law are civil dates in Brussels, until is exclusive.

CREATE TABLE parties.party (
    id uuid PRIMARY KEY,
    enterprise_number text NOT NULL UNIQUE CHECK (enterprise_number ~ '^[01][0-9]{9}$'),
    name_nl text NOT NULL,
    name_fr text NOT NULL,
    name_en text NOT NULL,
    kind text NOT NULL,
    joined_on date NOT NULL,
    left_on date CHECK (left_on >= joined_on),
    demo boolean NOT NULL DEFAULT false
);

CREATE TABLE parties.unit (
    id uuid PRIMARY KEY,
    party uuid NOT NULL REFERENCES parties.party,
    name_nl text NOT NULL,
    name_fr text NOT NULL,
    name_en text NOT NULL,
    UNIQUE (id, party)
);

CREATE TABLE parties.person (
    id uuid PRIMARY KEY,
    party uuid NOT NULL REFERENCES parties.party,
    unit uuid,
    name text NOT NULL CHECK (name <> ''),
    language text NOT NULL CHECK (language IN ('nl', 'fr', 'en')),
    active boolean NOT NULL DEFAULT true,
    demo boolean NOT NULL DEFAULT false,
    UNIQUE (id, party),
    -- A person's unit is one of the same party.
    FOREIGN KEY (unit, party) REFERENCES parties.unit (id, party)
);
CREATE INDEX ON parties.person (party);

CREATE TABLE parties.role (
    id uuid PRIMARY KEY,
    person uuid NOT NULL REFERENCES parties.person,
    profile text NOT NULL,
    valid_from date NOT NULL,
    valid_until date CHECK (valid_until >= valid_from)
);
CREATE INDEX ON parties.role (person);

CREATE TABLE parties.charter (
    version text PRIMARY KEY,
    valid_from date NOT NULL UNIQUE,
    text_nl text NOT NULL,
    text_fr text NOT NULL,
    text_en text NOT NULL
);

CREATE TABLE parties.charter_signature (
    person uuid NOT NULL REFERENCES parties.person,
    version text NOT NULL REFERENCES parties.charter,
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (person, version)
);

CREATE TABLE parties.training (
    person uuid NOT NULL REFERENCES parties.person,
    completed_on date NOT NULL,
    valid_until date NOT NULL CHECK (valid_until > completed_on),
    PRIMARY KEY (person, completed_on)
);

CREATE TABLE parties.system (
    id uuid PRIMARY KEY,
    party uuid NOT NULL REFERENCES parties.party,
    name text NOT NULL CHECK (name <> ''),
    active boolean NOT NULL DEFAULT true,
    UNIQUE (id, party),
    UNIQUE (party, name)
);

-- A kid is never used again: a revoked key stays, and cannot be registered anew.
CREATE TABLE parties.key (
    kid text PRIMARY KEY CHECK (length(kid) = 43),
    public bytea NOT NULL CHECK (length(public) = 32),
    party uuid NOT NULL REFERENCES parties.party,
    system uuid,
    person uuid,
    use text NOT NULL CHECK (use IN ('request_signing', 'convention_signing', 'adviser', 'user_assertion')),
    valid_from date NOT NULL,
    valid_until date CHECK (valid_until > valid_from),
    revoked_at timestamptz,
    revocation_reason text CHECK ((revocation_reason IS NULL) = (revoked_at IS NULL)),
    CHECK (system IS NULL OR person IS NULL),
    FOREIGN KEY (system, party) REFERENCES parties.system (id, party),
    FOREIGN KEY (person, party) REFERENCES parties.person (id, party)
);
CREATE INDEX ON parties.key (party);

CREATE TABLE parties.adviser (
    id uuid PRIMARY KEY,
    party uuid NOT NULL REFERENCES parties.party,
    person uuid NOT NULL,
    proposed_on date NOT NULL,
    appointed_on date CHECK (appointed_on >= proposed_on),
    advice text CHECK (advice ~ '^[0-9a-f]{64}$'),
    ended_on date,
    CHECK ((appointed_on IS NULL) = (advice IS NULL)),
    FOREIGN KEY (person, party) REFERENCES parties.person (id, party)
);
-- At most one adviser of a party whose office has not been ended.
CREATE UNIQUE INDEX one_adviser_in_office ON parties.adviser (party)
    WHERE appointed_on IS NOT NULL AND ended_on IS NULL;

CREATE TABLE parties.identity (
    issuer text NOT NULL,
    subject text NOT NULL,
    person uuid NOT NULL REFERENCES parties.person,
    PRIMARY KEY (issuer, subject, person)
);
CREATE INDEX ON parties.identity (person);

GRANT USAGE ON SCHEMA parties TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA parties TO koinon_web, koinon_worker, koinon_reader;
-- Nothing of the register is ever deleted or rewritten: it is ended.
GRANT INSERT ON parties.party, parties.unit, parties.person, parties.role, parties.charter, parties.charter_signature,
    parties.training, parties.system, parties.key, parties.adviser, parties.identity TO koinon_web, koinon_worker;
GRANT UPDATE (left_on) ON parties.party TO koinon_web, koinon_worker;
GRANT UPDATE (name, language, unit, active) ON parties.person TO koinon_web, koinon_worker;
GRANT UPDATE (valid_until) ON parties.role TO koinon_web, koinon_worker;
GRANT UPDATE (active) ON parties.system TO koinon_web, koinon_worker;
GRANT UPDATE (revoked_at, revocation_reason) ON parties.key TO koinon_web, koinon_worker;
GRANT UPDATE (appointed_on, advice, ended_on) ON parties.adviser TO koinon_web, koinon_worker;
GRANT DELETE ON parties.identity TO koinon_web, koinon_worker;
