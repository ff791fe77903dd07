-- An admission need not wait for the disk. Whatever leaves the gate because of it is recorded first, by a later commit
-- that does wait, and the log of the database is written in order: once the later one is durable, so is the earlier.
-- A server that dies in between forgets a nonce of which nothing has left.
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
