-- A thumbnail that is made again is the same file: its row stays, and says its size anew (`terms.insert_derived`).
GRANT UPDATE (bytes) ON terms.derived TO koinon_web, koinon_worker;
