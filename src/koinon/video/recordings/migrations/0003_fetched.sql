-- A third copy: what the owner of a camera recorded elsewhere, fetched by the worker for who asked (slice `remote`).
ALTER TABLE recordings.unit DROP CONSTRAINT unit_copy_check;
ALTER TABLE recordings.unit ADD CONSTRAINT unit_copy_check CHECK (copy IN (0, 1, 2)) NOT VALID;
ALTER TABLE recordings.unit VALIDATE CONSTRAINT unit_copy_check;
GRANT INSERT ON recordings.unit, recordings.sample_entry TO koinon_worker;
