-- The trace. Rows of `entry`, `slot` and `leaf` are added, never changed or removed (erasure blanks a slot). Who may
-- write does so through `ledger.append`; numbers are given by the sequencer alone. No foreign keys: `append` writes an
-- entry and its slots together, and `koinon ledger verify` checks every row against the tree.
CREATE SCHEMA IF NOT EXISTS ledger;

CREATE TYPE ledger.log AS ENUM ('register', 'exchange');

-- An entry: its bytes, which are hashed into the tree, and its private part, sealed. The columns after `bytes` repeat
-- what the bytes say, so that pages can search.
CREATE TABLE ledger.entry (
    id uuid PRIMARY KEY,
    log ledger.log NOT NULL,
    bytes bytea NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 65535),
    kind text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    party text COLLATE "C",
    keeper text COLLATE "C",
    "authorisation" text COLLATE "C",
    sealed bytea
);
CREATE INDEX entry_party ON ledger.entry (party, id) WHERE party IS NOT NULL;
CREATE INDEX entry_keeper ON ledger.entry (keeper, id) WHERE keeper IS NOT NULL;
CREATE INDEX entry_authorisation ON ledger.entry ("authorisation", id) WHERE "authorisation" IS NOT NULL;
CREATE INDEX entry_kind ON ledger.entry (kind, at, id) WHERE log = 'register' OR kind = 'ledger.erased';

-- The content key of a private part, wrapped once for each subject (or once, without a token, where there is none),
-- with the subject's identifier and the salt of its commitment. Erasure blanks `token` and `key` and names itself.
CREATE TABLE ledger.slot (
    entry uuid NOT NULL,
    ordinal smallint NOT NULL,
    token bytea,
    commitment bytea,
    key bytea,
    erasure uuid,
    PRIMARY KEY (entry, ordinal),
    CHECK ((key IS NULL) = (erasure IS NOT NULL)),
    CHECK (erasure IS NULL OR token IS NULL)
);
CREATE INDEX slot_token ON ledger.slot (token, entry) WHERE token IS NOT NULL;

-- Entries that have no number yet. The sequencer empties it many times a second and vacuums it itself, so it has no
-- index and keeps its pages.
CREATE TABLE ledger.pending (
    entry uuid NOT NULL,
    log ledger.log NOT NULL,
    hash bytea NOT NULL,
    at timestamptz NOT NULL
) WITH (vacuum_truncate = off);

-- The leaves of the trees. A log goes on in a new generation, under a new origin, when its tree could not be continued.
CREATE TABLE ledger.leaf (
    log ledger.log NOT NULL,
    generation smallint NOT NULL,
    index bigint NOT NULL,
    hash bytea NOT NULL,
    entry uuid NOT NULL UNIQUE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, generation, index)
);

-- The head of each tree: `edge` are the roots of the complete subtrees at its right edge. Every commit of the sequencer
-- moves it from the size it knew under the fence it took, so two sequencers cannot both succeed. `vkey` is the
-- signed-note key that verifies its checkpoints.
CREATE TABLE ledger.head (
    log ledger.log NOT NULL,
    generation smallint NOT NULL CHECK (generation > 0),
    origin text NOT NULL UNIQUE,
    vkey text NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    root bytea NOT NULL,
    edge bytea[] NOT NULL DEFAULT '{}',
    fence bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (log, generation)
);

-- The newest checkpoint of each tree that a quorum of witnesses has cosigned.
CREATE TABLE ledger.cosigned (
    log ledger.log NOT NULL,
    generation smallint NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,
    witnesses smallint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, generation)
);

-- Entries and their slots are pending, in the caller's transaction; returns how many entries. The leaf hash is computed
-- here (RFC 9162 section 2.1.1), so no caller can have another leaf numbered than the bytes it stored.
CREATE FUNCTION ledger.append(
    ids uuid[], logs text[], bytes bytea[], kinds text[], ats timestamptz[],
    parties text[], keepers text[], authorisations text[], sealed bytea[],
    slot_entries uuid[], slot_ordinals smallint[], slot_tokens bytea[], slot_commitments bytea[], slot_keys bytea[]
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.entry (id, log, bytes, kind, at, party, keeper, "authorisation", sealed)
    SELECT u.id, u.log::ledger.log, u.bytes, u.kind, u.at, u.party, u.keeper, u.authorisation_, u.sealed
    FROM unnest(ids, logs, bytes, kinds, ats, parties, keepers, authorisations, sealed)
        AS u (id, log, bytes, kind, at, party, keeper, authorisation_, sealed);
    INSERT INTO ledger.slot (entry, ordinal, token, commitment, key)
    SELECT * FROM unnest(slot_entries, slot_ordinals, slot_tokens, slot_commitments, slot_keys);
    INSERT INTO ledger.pending (entry, log, hash, at)
    SELECT u.id, u.log::ledger.log, sha256('\x00'::bytea || u.bytes),
           clock_timestamp()
    FROM unnest(ids, logs, bytes) AS u (id, log, bytes);
    RETURN cardinality(ids);
END $$;

-- The given slots can be opened by nobody any more; returns how many this call blanked.
CREATE FUNCTION ledger.erase(by uuid, entries uuid[], ordinals smallint[])
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH blanked AS (
        UPDATE ledger.slot s SET token = NULL, key = NULL, erasure = by
        FROM unnest(entries, ordinals) AS u (entry, ordinal)
        WHERE s.entry = u.entry AND s.ordinal = u.ordinal
          AND s.erasure IS NULL
        RETURNING 1
    )
    SELECT count(*) FROM blanked;
$$;

REVOKE ALL ON FUNCTION ledger.append, ledger.erase FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
GRANT SELECT ON ledger.entry, ledger.slot, ledger.pending, ledger.leaf, ledger.head, ledger.cosigned
    TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
GRANT EXECUTE ON FUNCTION ledger.append TO koinon_web, koinon_worker, koinon_sequencer;
GRANT EXECUTE ON FUNCTION ledger.erase TO koinon_sequencer;
GRANT DELETE ON ledger.pending TO koinon_sequencer;
GRANT INSERT ON ledger.leaf TO koinon_sequencer;
GRANT INSERT, UPDATE ON ledger.head, ledger.cosigned TO koinon_sequencer;
-- PostgreSQL 17 and newer let the sequencer vacuum what it empties; on 16 autovacuum does, and scans are longer.
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON ledger.pending TO koinon_sequencer';
    END IF;
END $$;
