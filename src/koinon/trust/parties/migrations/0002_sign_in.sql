-- Signing in. No right rests on these tables: what a person may do is in the register.

-- Accounts of our own, for the embedded default only. The login is an identity of the issuer urn:koinon:local.
CREATE TABLE parties.account (
    login text PRIMARY KEY CHECK (login = lower(login) AND length(login) BETWEEN 1 AND 100),
    password_hash text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- Only the SHA-256 of a token is kept: who reads this table cannot use a session.
CREATE TABLE parties.session (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    issuer text NOT NULL,
    subject text NOT NULL,
    person uuid REFERENCES parties.person,
    profile text CHECK (profile IS NULL OR person IS NOT NULL),
    language text CHECK (language IN ('nl', 'fr', 'en')),
    signed_in_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON parties.session (issuer, subject);
CREATE INDEX ON parties.session (person);
CREATE INDEX ON parties.session (expires_at);

-- A sign-in that was sent to the identity provider and has not come back; used once.
CREATE TABLE parties.sign_in (
    state_hash bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    browser_hash bytea NOT NULL CHECK (length(browser_hash) = 32),
    issuer text NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    return_to text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON parties.sign_in (expires_at);

-- Failed attempts, by account and by address (both hashed).
CREATE TABLE parties.attempt (
    key bytea PRIMARY KEY CHECK (length(key) = 32),
    failures integer NOT NULL,
    last_at timestamptz NOT NULL,
    blocked_until timestamptz NOT NULL
);
CREATE INDEX ON parties.attempt (last_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON parties.account, parties.session, parties.sign_in, parties.attempt
    TO koinon_web, koinon_worker;
