-- The register of cameras: whose they are, where they stand, what they see, where their streams are.
-- Nothing of it is deleted but what says where to connect: a camera is retired, a work station revoked.

CREATE TABLE cameras.camera (
    id uuid PRIMARY KEY,
    -- Name of its folder of recordings, so that it never changes.
    code text NOT NULL UNIQUE CHECK (code ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    owner uuid NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    height_m real CHECK (height_m BETWEEN -100 AND 500),
    direction_deg real CHECK (direction_deg >= 0 AND direction_deg < 360),
    field_of_view_deg real CHECK (field_of_view_deg > 0 AND field_of_view_deg <= 360),
    range_m real CHECK (range_m > 0 AND range_m <= 5000),
    pixels_per_metre real CHECK (pixels_per_metre > 0 AND pixels_per_metre <= 10000),
    place_kind text NOT NULL CHECK (place_kind IN ('public_open', 'public_closed', 'not_public')),
    municipality text NOT NULL CHECK (municipality ~ '^[0-9]{5}$'),
    zone text CHECK (zone ~ '^[0-9]{4}$'),
    sensor text NOT NULL CHECK (sensor IN ('fixed', 'ptz', 'dome_360', 'thermal', 'anpr')),
    declaration text NOT NULL DEFAULT '',
    regime text NOT NULL DEFAULT 'standard' CHECK (regime ~ '^[a-z][a-z0-9_]{0,63}$'),
    doubly_recorded boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'retired')),
    shared boolean NOT NULL DEFAULT false,
    demo boolean NOT NULL DEFAULT false,
    registered_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    -- The last line of defence; the service refuses first, with the article.
    CHECK (NOT shared OR place_kind <> 'not_public'),
    CHECK (NOT shared OR state <> 'retired')
);
CREATE INDEX ON cameras.camera (owner);

CREATE TABLE cameras.stream (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    camera uuid NOT NULL REFERENCES cameras.camera,
    role text NOT NULL CHECK (role IN ('main', 'sub')),
    -- The whole URL with its credentials, under home/keys/cameras.key, bound to camera and role.
    sealed_source bytea NOT NULL,
    address text NOT NULL CHECK (address !~ '@'),
    driver text NOT NULL DEFAULT 'rtsp' CHECK (driver IN ('rtsp', 'av')),
    recorded boolean NOT NULL DEFAULT true,
    changed_at timestamptz NOT NULL,
    UNIQUE (camera, role)
);

-- Territory and owner groups follow from the cameras (`derived`) or are made by hand; themes always by hand.
CREATE TABLE cameras.camera_group (
    code text PRIMARY KEY CHECK (code ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    title jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('territory', 'owner', 'theme')),
    derived boolean NOT NULL DEFAULT false
);

CREATE TABLE cameras.in_group (
    camera uuid NOT NULL REFERENCES cameras.camera,
    "group" text NOT NULL REFERENCES cameras.camera_group,
    PRIMARY KEY (camera, "group")
);
CREATE INDEX ON cameras.in_group ("group");

-- Networks in which a party's cameras may stand: nothing else is connected to on its behalf.
CREATE TABLE cameras.network (
    party uuid NOT NULL,
    cidr cidr NOT NULL,
    allowed_at timestamptz NOT NULL,
    PRIMARY KEY (party, cidr)
);

CREATE TABLE cameras.control_centre (
    id uuid PRIMARY KEY,
    party uuid NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    registered_at timestamptz NOT NULL,
    UNIQUE (party, name)
);

-- A browser of a control centre, known by a key that it cannot give away (ECDSA P-256, uncompressed point).
CREATE TABLE cameras.station (
    id uuid PRIMARY KEY,
    centre uuid NOT NULL REFERENCES cameras.control_centre,
    name text NOT NULL CHECK (name <> ''),
    public_key bytea NOT NULL UNIQUE CHECK (length(public_key) = 65),
    registered_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX ON cameras.station (centre);

-- A challenge is answered once; only its SHA-256 is kept.
CREATE TABLE cameras.challenge (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    station uuid REFERENCES cameras.station,
    session bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON cameras.challenge (expires_at);

-- That a session is at a work station, for a few minutes after each proof.
CREATE TABLE cameras.presence (
    session bytea PRIMARY KEY,
    station uuid NOT NULL REFERENCES cameras.station,
    until timestamptz NOT NULL
);

GRANT USAGE ON SCHEMA cameras TO koinon_web, koinon_worker, koinon_recorder, koinon_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA cameras TO koinon_web, koinon_worker, koinon_reader;
GRANT SELECT ON cameras.camera, cameras.stream, cameras.camera_group, cameras.in_group, cameras.network
    TO koinon_recorder;
-- What a reader reads goes into reports: where to connect is no part of them.
REVOKE SELECT ON cameras.stream, cameras.network, cameras.challenge, cameras.presence FROM koinon_reader;
GRANT INSERT ON cameras.camera, cameras.stream, cameras.camera_group, cameras.in_group, cameras.network,
    cameras.control_centre, cameras.station, cameras.challenge, cameras.presence TO koinon_web, koinon_worker;
GRANT UPDATE (name, latitude, longitude, height_m, direction_deg, field_of_view_deg, range_m, pixels_per_metre,
    place_kind, municipality, zone, sensor, declaration, regime, doubly_recorded, state, shared, changed_at)
    ON cameras.camera TO koinon_web, koinon_worker;
GRANT UPDATE (sealed_source, address, driver, recorded, changed_at) ON cameras.stream TO koinon_web, koinon_worker;
GRANT UPDATE (revoked_at) ON cameras.station TO koinon_web, koinon_worker;
GRANT UPDATE (station, until) ON cameras.presence TO koinon_web, koinon_worker;
GRANT DELETE ON cameras.in_group, cameras.network, cameras.challenge, cameras.presence TO koinon_web, koinon_worker;
