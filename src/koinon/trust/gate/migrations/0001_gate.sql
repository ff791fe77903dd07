-- The gate: what was seen (nonces, idempotency keys), what is running, and by which process.

-- Nonces of request signatures, kept as long as a signature could still be taken for fresh.
CREATE TABLE gate.nonce (
    key text NOT NULL,
    nonce text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (key, nonce)
);
CREATE INDEX nonce_expires_at ON gate.nonce (expires_at);

-- A caller's own key for one exchange: a retry is the same exchange, decided anew.
CREATE TABLE gate.idempotency (
    party uuid NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    body_hash bytea NOT NULL,
    exchange uuid NOT NULL,
    first_at timestamptz NOT NULL,
    PRIMARY KEY (party, key)
);
CREATE INDEX idempotency_first_at ON gate.idempotency (first_at);

-- Processes that release. One that has not been seen for a while is dead, and what it ran ended at an unknown moment.
CREATE TABLE gate.process (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);

-- Uses that last. A row stands here before the use's `begin` is recorded and leaves with its `ended`.
CREATE TABLE gate.running (
    id uuid PRIMARY KEY,
    process uuid NOT NULL REFERENCES gate.process (id),
    exchange uuid NOT NULL,
    party uuid NOT NULL,
    person uuid,
    system uuid,
    key text,
    authorisation text NOT NULL,
    action text NOT NULL,
    resource text NOT NULL,
    began_at timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL
);
CREATE INDEX running_process ON gate.running (process);
CREATE INDEX running_party ON gate.running (party);

-- Admits requests: one row a request, in order. `fresh` is false for a nonce that was seen before; `exchange` and
-- `body_hash` are those of the first request that carried the same idempotency key, when there was one.
CREATE FUNCTION gate.admit(
    keys text[], nonces text[], expiries timestamptz[],
    parties uuid[], idempotency_keys text[], body_hashes bytea[], exchanges uuid[], at timestamptz
) RETURNS TABLE (fresh boolean, exchange uuid, body_hash bytea)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO gate.idempotency AS t (party, key, body_hash, exchange, first_at)
    SELECT a.party, a.key, a.body_hash, a.exchange, at
    FROM unnest(parties, idempotency_keys, body_hashes, exchanges) AS a (party, key, body_hash, exchange)
    WHERE a.key IS NOT NULL
    ON CONFLICT DO NOTHING;

    RETURN QUERY
    WITH asked AS (
        SELECT a.*, row_number() OVER (PARTITION BY a.key, a.nonce ORDER BY a.n) = 1 AS first
        FROM unnest(keys, nonces, expiries, parties, idempotency_keys)
            WITH ORDINALITY AS a (key, nonce, expires_at, party, idempotency_key, n)
    ), seen AS (
        INSERT INTO gate.nonce AS t (key, nonce, expires_at)
        SELECT a.key, a.nonce, a.expires_at FROM asked a WHERE a.nonce IS NOT NULL AND a.first
        ON CONFLICT DO NOTHING
        RETURNING t.key, t.nonce
    )
    SELECT a.nonce IS NULL OR (a.first AND s.nonce IS NOT NULL), k.exchange, k.body_hash
    FROM asked a
    LEFT JOIN seen s ON s.key = a.key AND s.nonce = a.nonce
    LEFT JOIN gate.idempotency k ON k.party = a.party AND k.key = a.idempotency_key
    ORDER BY a.n;
END $$;

-- What the process on watch throws away: nonces past their time, idempotency keys after a day.
CREATE FUNCTION gate.forget(at timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    DELETE FROM gate.nonce WHERE expires_at < at;
    DELETE FROM gate.idempotency WHERE first_at < at - interval '1 day';
$$;

GRANT USAGE ON SCHEMA gate TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA gate TO koinon_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON gate.process, gate.running TO koinon_web, koinon_worker;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gate FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gate TO koinon_web, koinon_worker;
