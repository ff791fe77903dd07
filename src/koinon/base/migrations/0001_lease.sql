-- Named leases. `fence` only rises: whoever writes under a lease states the number it was given.

CREATE TABLE base.lease (
    name text PRIMARY KEY,
    fence bigint NOT NULL,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Makes `fence` a key column: a take-over then waits for the key-share locks that base.holds takes, while a
    -- renewal, which leaves it alone, does not.
    UNIQUE (name, fence)
);

-- True while the lease has this fence and has not run out. To be called in the statement that writes under the
-- lease: until the writer's transaction ends nobody can take the lease over.
CREATE FUNCTION base.holds(lease text, number bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM FROM base.lease AS held
    WHERE held.name = lease AND held.fence = number AND held.expires_at > clock_timestamp()
    FOR KEY SHARE;
    RETURN FOUND;
END
$$;

GRANT SELECT ON base.lease TO koinon_web, koinon_worker, koinon_sequencer, koinon_reader;
GRANT INSERT, UPDATE ON base.lease TO koinon_worker, koinon_sequencer;
