-- What still lies in a folder, oldest first, is asked every few seconds while units move to a bucket.
CREATE INDEX unit_by_place ON recordings.unit (place, start_at, stream, copy);
