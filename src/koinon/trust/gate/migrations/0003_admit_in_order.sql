-- Two things about admitting.
--
-- Rows are inserted in the order of their keys: two processes that admit the same keys at the same moment wait for one
-- another instead of for each other, so that nobody can make the requests of others fail by a deadlock.
--
-- A nonce is forgotten when no signature with it could be fresh any more. A clock that was set back makes old signatures
-- fresh again: one that expired no later than what was ever forgotten is refused, whatever the clock says now.
CREATE TABLE gate.forgotten (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until timestamptz NOT NULL
);
INSERT INTO gate.forgotten (until) VALUES ('-infinity');
GRANT SELECT ON gate.forgotten TO koinon_reader;

CREATE OR REPLACE FUNCTION gate.admit(
    keys text[], nonces text[], expiries timestamptz[],
    parties uuid[], idempotency_keys text[], body_hashes bytea[], exchanges uuid[], at timestamptz
) RETURNS TABLE (fresh boolean, exchange uuid, body_hash bytea)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- Until the end of this transaction, which is this statement.
    PERFORM set_config('synchronous_commit', 'off', true);

    INSERT INTO gate.idempotency AS t (party, key, body_hash, exchange, first_at)
    SELECT a.party, a.key, a.body_hash, a.exchange, at
    FROM unnest(parties, idempotency_keys, body_hashes, exchanges) WITH ORDINALITY
        AS a (party, key, body_hash, exchange, n)
    WHERE a.key IS NOT NULL
    ORDER BY a.party, a.key, a.n
    ON CONFLICT DO NOTHING;

    RETURN QUERY
    WITH asked AS (
        SELECT a.*, row_number() OVER (PARTITION BY a.key, a.nonce ORDER BY a.n) = 1 AS first
        FROM unnest(keys, nonces, expiries, parties, idempotency_keys)
            WITH ORDINALITY AS a (key, nonce, expires_at, party, idempotency_key, n)
    ), seen AS (
        INSERT INTO gate.nonce AS t (key, nonce, expires_at)
        SELECT a.key, a.nonce, a.expires_at FROM asked a WHERE a.nonce IS NOT NULL AND a.first
        ORDER BY a.key, a.nonce
        ON CONFLICT DO NOTHING
        RETURNING t.key, t.nonce
    )
    SELECT a.nonce IS NULL OR (a.first AND s.nonce IS NOT NULL AND a.expires_at > f.until), k.exchange, k.body_hash
    FROM asked a
    CROSS JOIN gate.forgotten f
    LEFT JOIN seen s ON s.key = a.key AND s.nonce = a.nonce
    LEFT JOIN gate.idempotency k ON k.party = a.party AND k.key = a.idempotency_key
    ORDER BY a.n;
END $$;

CREATE OR REPLACE FUNCTION gate.forget(at timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH gone AS (
        DELETE FROM gate.nonce WHERE expires_at < at RETURNING expires_at
    )
    UPDATE gate.forgotten f SET until = g.until
    FROM (SELECT max(expires_at) AS until FROM gone) g WHERE g.until > f.until;
    DELETE FROM gate.idempotency WHERE first_at < at - interval '1 day';
$$;
