-- Streams that are not recorded and that somebody wants to watch: a recorder pulls them while that lasts.
CREATE TABLE recordings.watched (
    stream integer PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON recordings.watched TO koinon_web, koinon_worker, koinon_recorder, koinon_reader;
GRANT INSERT, UPDATE ON recordings.watched TO koinon_web;
GRANT DELETE ON recordings.watched TO koinon_recorder;
