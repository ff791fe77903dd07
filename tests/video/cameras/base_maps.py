"""Small base maps, written by the PMTiles project's own library; vector tiles by a few lines of protobuf.

Source: Mapbox Vector Tile specification 2.1.
"""

import gzip
import io
import struct
import zlib
from math import asinh, floor, pi, radians, tan

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

ZOOM = 11
WATER = (0xBC, 0xD5, 0xE8)  # as in base-map.ts
PICTURE = (0x20, 0x90, 0x60)
LONGITUDE, LATITUDE = 4.352, 50.8467


def tile_at(longitude, latitude, zoom):
    """Column and row of the tile."""
    n = 1 << zoom
    return floor((longitude + 180) / 360 * n), floor((1 - asinh(tan(radians(latitude))) / pi) / 2 * n)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number, data):
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def zigzag(value):
    return value << 1 if value >= 0 else -value * 2 - 1


def geometry(points, *, closed):
    """MoveTo, LineTo and, of a polygon, ClosePath."""
    words, at = [9], (0, 0)
    for index, (x, y) in enumerate(points):
        if index == 1:
            words.append((len(points) - 1) << 3 | 2)
        words += [zigzag(x - at[0]), zigzag(y - at[1])]
        at = (x, y)
    return b"".join(map(varint, [*words, *([15] if closed else [])]))


def layer(layer, shape, points, **properties):
    """A layer of one feature. `shape`: 1 point, 2 line, 3 polygon."""
    tags = b"".join(varint(each) for pair in enumerate(range(len(properties))) for each in pair)
    feature = field(2, tags) + field(3, shape) + field(4, geometry(points, closed=shape == 3))
    body = field(15, 2) + field(1, layer.encode()) + field(2, feature)
    body += b"".join(field(3, key.encode()) for key in properties)
    body += b"".join(field(4, field(1, value.encode())) for value in properties.values())
    return field(3, body + field(5, 4096))


def vector_tile():
    """A canal across the tile, a park, roads with names, a border and a place, as in Protomaps' schema."""
    whole = [(0, 0), (4096, 0), (4096, 4096), (0, 4096)]
    return gzip.compress(
        layer("earth", 3, whole, kind="earth")
        + layer("landuse", 3, [(2300, 300), (3900, 300), (3900, 1700), (2300, 1700)], kind="park")
        + layer("water", 3, [(300, 0), (900, 0), (2000, 4096), (1400, 4096)], kind="lake")
        + layer(
            "roads",
            2,
            [(0, 2300), (4096, 1900)],
            kind="major_road",
            name="Kleine Ring",
            **{"name:fr": "Petite Ceinture"},
        )
        + layer("roads", 2, [(2200, 0), (2500, 4096)], kind="highway", name="E40")
        + layer("boundaries", 2, [(0, 3300), (4096, 3500)], kind="county")
        + layer(
            "places",
            1,
            [(2700, 2600)],
            kind="locality",
            name="Bruxelles - Brussel",
            **{"name:nl": "Brussel", "name:fr": "Bruxelles"},
        )
    )


def picture_tile():
    """A PNG of 256 by 256 of one colour (RFC 2083)."""
    rows = (b"\0" + bytes(PICTURE) * 256) * 256

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">2I5B", 256, 256, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def write_base_map(path, *, vector=True):
    """A base map of the nine tiles around Brussels."""
    out = io.BytesIO()
    writer = Writer(out)
    data = vector_tile() if vector else picture_tile()
    column, row = tile_at(LONGITUDE, LATITUDE, ZOOM)
    ids = sorted(zxy_to_tileid(ZOOM, column + x, row + y) for x in (-1, 0, 1) for y in (-1, 0, 1))
    for each in ids:
        writer.write_tile(each, data)
    layers = ("earth", "landuse", "water", "roads", "boundaries", "places")
    writer.finalize(
        {
            "tile_type": TileType.MVT if vector else TileType.PNG,
            "tile_compression": Compression.GZIP if vector else Compression.NONE,
            "min_lon_e7": 39_000_000, "min_lat_e7": 505_000_000, "max_lon_e7": 48_000_000, "max_lat_e7": 512_000_000,
            "center_zoom": ZOOM, "center_lon_e7": int(LONGITUDE * 1e7), "center_lat_e7": int(LATITUDE * 1e7),
        },
        {
            "attribution": '<a href="https://example.org" onclick="alert(1)">Drawn for a test</a>',
            **({"vector_layers": [{"id": each, "fields": {}} for each in layers]} if vector else {}),
        },
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    return out.getvalue()
