-- The checksum that a ZIP wants (CRC-32, APPNOTE 4.4.7), so that every byte of a package is known before it is read and a
-- download goes on where it broke. Missing for files that were made before.
ALTER TABLE exports.file ADD COLUMN crc32 bigint CHECK (crc32 BETWEEN 0 AND 4294967295);
