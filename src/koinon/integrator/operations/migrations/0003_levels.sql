-- Service levels: what is promised of a flow from a month on, what was announced, and what lets a month be judged.

-- One promise a flow and month at most; it holds until the next one begins. Whole months, so that no month is judged by two.
CREATE TABLE operations.level (
    flow text NOT NULL,
    begins_on date NOT NULL CHECK (extract(day FROM begins_on) = 1),
    availability_percent numeric(5, 2) NOT NULL CHECK (availability_percent > 0 AND availability_percent <= 100),
    p95_ms integer NOT NULL CHECK (p95_ms BETWEEN 1 AND 60000),
    deferred_hours integer CHECK (deferred_hours BETWEEN 1 AND 8760),
    notice_hours integer NOT NULL CHECK (notice_hours BETWEEN 1 AND 720),
    agreed_by uuid NOT NULL,
    agreed_at timestamptz NOT NULL,
    PRIMARY KEY (flow, begins_on)
);

-- Without a flow it is about all. Never deleted nor moved: what is withdrawn counts until that moment.
CREATE TABLE operations.maintenance (
    id uuid PRIMARY KEY,
    flow text,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until > since),
    reason_nl text NOT NULL CHECK (length(reason_nl) BETWEEN 1 AND 200),
    reason_fr text NOT NULL CHECK (length(reason_fr) BETWEEN 1 AND 200),
    reason_en text NOT NULL CHECK (length(reason_en) BETWEEN 1 AND 200),
    announced_by uuid NOT NULL,
    announced_at timestamptz NOT NULL CHECK (announced_at < since),
    withdrawn_by uuid,
    withdrawn_at timestamptz
);
CREATE INDEX ON operations.maintenance (until);

-- Which kind of process lived: a worker answers no question. Of lives from before this nobody knows.
ALTER TABLE operations.alive ADD COLUMN kind text CHECK (kind IN ('web', 'worker'));

-- Streams are counted by the person, apart from questions that are answered at once.
ALTER TABLE operations.hour_count DROP CONSTRAINT hour_count_kind_check;
ALTER TABLE operations.hour_count ADD CONSTRAINT hour_count_kind_check
    CHECK (kind IN ('outcome', 'failure', 'latency', 'filtered', 'source', 'stream'));

-- Nobody: somebody at the machine's own command line.
ALTER TABLE operations.sandbox ALTER COLUMN opened_by DROP NOT NULL;

GRANT SELECT, INSERT ON operations.level, operations.maintenance TO koinon_web;
GRANT UPDATE (withdrawn_by, withdrawn_at) ON operations.maintenance TO koinon_web;
GRANT SELECT ON operations.level, operations.maintenance TO koinon_worker;
