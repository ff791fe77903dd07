-- Cameras whose recordings stay with their owner until somebody asks for a stretch of them.

-- Where the owner's own system replays a camera, and what it says to hold.
CREATE TABLE remote.source (
    camera uuid PRIMARY KEY,
    -- The whole URL with its credentials, under home/keys/cameras.key, bound to the camera and to replaying.
    sealed_source bytea NOT NULL,
    address text NOT NULL CHECK (address !~ '@'),
    keep_days integer NOT NULL CHECK (keep_days BETWEEN 1 AND 366),
    holds_from timestamptz,
    changed_at timestamptz NOT NULL
);

-- A stretch that is fetched once, whoever asked for it. What came of it are units and gaps of `recordings`.
CREATE TABLE remote.fetch (
    id uuid PRIMARY KEY,
    camera uuid NOT NULL,
    owner uuid NOT NULL,
    stream integer NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    -- waiting: others of this owner are before it. queued: a job will do it.
    state text NOT NULL CHECK (state IN ('waiting', 'queued', 'fetching', 'done', 'failed', 'stopped')),
    code text,
    attempt integer NOT NULL DEFAULT 0,
    done_us bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    asked_at timestamptz NOT NULL,
    moved_at timestamptz NOT NULL
);
CREATE INDEX fetch_open ON remote.fetch (owner, asked_at) WHERE state IN ('waiting', 'queued', 'fetching');

-- Who asked for what, under which exchange, with whose word; the promise of its entry.
CREATE TABLE remote.ask (
    id uuid PRIMARY KEY,
    camera uuid NOT NULL,
    owner uuid NOT NULL,
    party uuid NOT NULL,
    person uuid NOT NULL,
    profile text NOT NULL,
    purpose text NOT NULL,
    "case" text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    emergency boolean NOT NULL DEFAULT false,
    state text NOT NULL CHECK (state IN ('open', 'done', 'stopped')),
    code text,
    exchange uuid NOT NULL,
    second_person uuid,
    second_profile text,
    at_work_station boolean NOT NULL DEFAULT false,
    receipt jsonb NOT NULL,
    asked_at timestamptz NOT NULL,
    moved_at timestamptz NOT NULL
);
CREATE INDEX ask_own ON remote.ask (person, asked_at DESC);
CREATE INDEX ask_about ON remote.ask (owner, asked_at DESC);

CREATE TABLE remote.part (
    ask uuid NOT NULL REFERENCES remote.ask ON DELETE CASCADE,
    stretch uuid NOT NULL REFERENCES remote.fetch ON DELETE CASCADE,
    PRIMARY KEY (ask, stretch)
);
CREATE INDEX part_of_stretch ON remote.part (stretch);

GRANT USAGE ON SCHEMA remote TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA remote TO koinon_web, koinon_worker;
-- Where to connect, and in which matter somebody asked, are no part of reports.
GRANT SELECT (id, camera, owner, party, profile, purpose, since, until, emergency, state, code, asked_at, moved_at)
    ON remote.ask TO koinon_reader;
GRANT SELECT ON remote.fetch, remote.part TO koinon_reader;
GRANT INSERT ON ALL TABLES IN SCHEMA remote TO koinon_web;
GRANT UPDATE, DELETE ON remote.source TO koinon_web;
GRANT UPDATE (state, code, moved_at) ON remote.ask, remote.fetch TO koinon_web;
GRANT UPDATE, DELETE ON remote.ask, remote.fetch TO koinon_worker;
GRANT DELETE ON remote.part TO koinon_worker;
-- The command line sets where cameras are, as for their streams.
GRANT INSERT, UPDATE, DELETE ON remote.source TO koinon_worker;
