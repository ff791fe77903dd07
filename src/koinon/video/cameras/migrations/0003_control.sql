-- Where a camera that can be turned is steered: the address of its ONVIF device service.
CREATE TABLE cameras.control (
    camera uuid PRIMARY KEY REFERENCES cameras.camera,
    -- The whole URL with its credentials, under home/keys/cameras.key, bound to the camera.
    sealed_source bytea NOT NULL,
    address text NOT NULL CHECK (address !~ '@'),
    changed_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON cameras.control TO koinon_web, koinon_worker;
GRANT UPDATE (sealed_source, address, changed_at) ON cameras.control TO koinon_web, koinon_worker;
