-- Announcements of sales and seizures, and what each competent creditor was asked and answered. Subjects and amounts
-- lie sealed under the key of the reference directory, outside the database.
CREATE TABLE procedures.announcement (
    id uuid PRIMARY KEY,
    number text NOT NULL UNIQUE,
    party uuid NOT NULL,
    "case" text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('sale', 'seizure')),
    subject bytea NOT NULL CHECK (length(subject) = 32),
    sealed_subject bytea NOT NULL,
    sealed_property bytea NOT NULL,
    sent_at timestamptz NOT NULL,
    deed_on date,
    sealed_price bytea,
    closed_at timestamptz
);
CREATE INDEX announcement_subject ON procedures.announcement (party, subject, sent_at DESC);
CREATE INDEX announcement_party ON procedures.announcement (party, id DESC);

CREATE SEQUENCE procedures.announcement_number;

-- One for each creditor that was told. An answer that came after the term is kept, and is out.
CREATE TABLE procedures.notice (
    announcement uuid NOT NULL REFERENCES procedures.announcement (id),
    creditor uuid NOT NULL,
    kind text NOT NULL,
    term_ends date NOT NULL,
    dossier uuid NOT NULL,
    answered_at timestamptz,
    answer text CHECK (answer IN ('claim', 'nothing')),
    sealed_answer bytea,
    late boolean,
    PRIMARY KEY (announcement, creditor),
    CHECK ((answered_at IS NULL) = (answer IS NULL)),
    CHECK ((answer = 'claim') = (sealed_answer IS NOT NULL)),
    CHECK ((answered_at IS NULL) = (late IS NULL))
);
CREATE INDEX notice_creditor ON procedures.notice (creditor, term_ends);

GRANT USAGE ON SCHEMA procedures TO koinon_web, koinon_worker, koinon_reader;
GRANT USAGE ON SEQUENCE procedures.announcement_number TO koinon_web, koinon_worker;
GRANT SELECT, INSERT ON procedures.announcement, procedures.notice TO koinon_web, koinon_worker;
GRANT UPDATE (deed_on, sealed_price, closed_at) ON procedures.announcement TO koinon_web, koinon_worker;
GRANT UPDATE (answered_at, answer, sealed_answer, late) ON procedures.notice TO koinon_web, koinon_worker;
GRANT SELECT ON procedures.announcement, procedures.notice TO koinon_reader;
