-- NULL: how many packets never came is not known (a unit that a crash left without its end; a stream without numbers).
ALTER TABLE recordings.unit ALTER COLUMN lost DROP NOT NULL;
ALTER TABLE recordings.health ALTER COLUMN lost DROP NOT NULL;
