-- How an announcement ended, and why it was withdrawn; `closed_at` was there from the start and never set. A day of the
-- deed may be known when the announcement is made: that it was passed is said by `deed_recorded_at`.
ALTER TABLE procedures.announcement
    ADD COLUMN deed_recorded_at timestamptz,
    ADD COLUMN outcome text CHECK (outcome IN ('distributed', 'stated', 'withdrawn')),
    ADD COLUMN reason text CHECK (reason IN ('wrong_person', 'wrong_property', 'announced_twice', 'not_sold')),
    ADD CONSTRAINT announcement_closed CHECK ((closed_at IS NULL) = (outcome IS NULL)),
    ADD CONSTRAINT announcement_withdrawn CHECK ((reason IS NOT NULL) = (outcome IS NOT DISTINCT FROM 'withdrawn'));

GRANT UPDATE (deed_recorded_at, outcome, reason) ON procedures.announcement TO koinon_web, koinon_worker;
