-- What the names, the values and the source of a data set are called: as they stand in it -> {nl, fr, en}.
ALTER TABLE processing.data_set ADD COLUMN words jsonb NOT NULL DEFAULT '{}';
