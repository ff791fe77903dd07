-- Recorders are a kind of process of their own: leases, signals and what the video slices grant them; nothing of the ledger.
GRANT USAGE ON SCHEMA base TO koinon_recorder;
GRANT SELECT, INSERT, UPDATE ON base.lease TO koinon_recorder;
