-- A file that was registered while its number was merged with another by mistake: whose it is, a person of its party
-- says. Until then it opens nothing. Empty again once that was said; the ledger keeps both.
ALTER TABLE integrator.dossier ADD COLUMN doubted_at timestamptz;
CREATE INDEX dossier_doubted ON integrator.dossier (party) WHERE doubted_at IS NOT NULL AND ended_at IS NULL;
GRANT UPDATE (doubted_at) ON integrator.dossier TO koinon_web, koinon_worker;
