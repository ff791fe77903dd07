-- The same rows under a second name would have a second budget. Where rows come from (`batch:<id>`) is told once; and of
-- each column a fingerprint is kept, keyed outside the database: over (subject, value), in no order, without its name.
ALTER TABLE processing.data_set ADD COLUMN origin text UNIQUE CHECK (length(origin) BETWEEN 1 AND 128);

CREATE TABLE processing.fingerprint (
    data_set uuid NOT NULL REFERENCES processing.data_set,
    value bytea NOT NULL CHECK (length(value) = 32),
    PRIMARY KEY (data_set, value)
);
CREATE INDEX ON processing.fingerprint (value);

GRANT SELECT, INSERT ON processing.fingerprint TO koinon_web, koinon_worker;
