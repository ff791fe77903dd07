-- What of a camera's picture nobody is to see, from when to when. A picture is masked by what counted when it was taken.

CREATE TABLE masks.mask (
    id uuid PRIMARY KEY,
    camera uuid NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz CHECK (valid_until > valid_from),
    -- A list of polygons, each a list of points: shares (0 to 1) of width and height.
    polygons jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('fill', 'mosaic')),
    why text NOT NULL DEFAULT '',
    by uuid,
    made_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX ON masks.mask (camera, valid_from);
-- At most one goes on until further notice.
CREATE UNIQUE INDEX ON masks.mask (camera) WHERE valid_until IS NULL;

GRANT SELECT ON masks.mask TO koinon_web, koinon_worker, koinon_reader;
GRANT INSERT ON masks.mask TO koinon_web, koinon_worker;
GRANT UPDATE (valid_until) ON masks.mask TO koinon_web, koinon_worker;
