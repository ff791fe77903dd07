// The site's own base map: a PMTiles file that our own server sends in ranges, drawn plainly, so that cameras stand out.
// Tiles are vector tiles of the OpenMapTiles or the Protomaps schema, or pictures. Names are set in the reader's own fonts:
// the style has no glyph server, so MapLibre draws letters itself. Nothing is asked from another host.
import { addProtocol, type ExpressionSpecification, type LayerSpecification, type SourceSpecification } from "maplibre-gl";
import { PMTiles, Protocol, TileType } from "pmtiles";

const LAND = "#f3f2ee";
const GREEN = "#dfe9d8";
const BUILT = "#e6e3dc";
const WATER = "#bcd5e8";
const ROAD = "#ffffff";
const CASING = "#cfccc4";
const BORDER = "#8a8fa6";
const INK = "#454a5c";

const GREENS = [
  "wood", "forest", "grass", "grassland", "park", "garden", "meadow", "scrub", "farmland", "cemetery", "pitch", "nature_reserve",
  "recreation_ground", "village_green", "allotments", "golf_course", "orchard", "wetland", "protected_area",
];
const WIDE = ["motorway", "trunk", "highway"];
const MIDDLE = ["primary", "secondary", "tertiary", "major_road"];
const RAIL = ["rail", "transit"];
const NARROW = ["path", "track", "pier"];

export interface BaseMap {
  source: SourceSpecification;
  layers: LayerSpecification[];
  attribution: string;
}

let protocol: Protocol | null = null;

/** The base map at this address, ready to be drawn below everything else; null where it cannot be read. */
export async function openBaseMap(address: string, language: string): Promise<BaseMap | null> {
  const url = new URL(address, location.href).href;
  const archive = new PMTiles(url);
  try {
    const [header, told] = await Promise.all([archive.getHeader(), archive.getMetadata()]);
    if (!protocol) addProtocol("pmtiles", (protocol = new Protocol()).tile);
    protocol.add(archive);
    const vector = header.tileType === TileType.Mvt;
    const facts = (told ?? {}) as { attribution?: unknown; vector_layers?: { id?: unknown }[] };
    const ids = new Set((facts.vector_layers ?? []).map((each) => String(each.id)));
    const layers = vector ? layersOf(ids, language) : [{ id: "base", type: "raster" as const, source: "base" }];
    if (layers.length === 0) return null; // of a schema that is not known here
    return {
      source: vector ? { type: "vector", url: `pmtiles://${url}` } : { type: "raster", url: `pmtiles://${url}`, tileSize: 256 },
      layers,
      attribution: plain(facts.attribution),
    };
  } catch {
    return null;
  }
}

/** What is drawn of the layers that the file says it has, from the ground up. */
function layersOf(ids: Set<string>, language: string): LayerSpecification[] {
  const found: LayerSpecification[] = [];
  const draw = (layer: string, more: object) => {
    if (!ids.has(layer)) return;
    found.push({ id: `base-${found.length}`, source: "base", "source-layer": layer, ...more } as LayerSpecification);
  };
  const area = (layer: string, colour: string, filter?: ExpressionSpecification) =>
    draw(layer, { type: "fill", paint: { "fill-color": colour }, ...(filter ? { filter } : {}) });
  const line = (layer: string, colour: string, widths: [number, number], filter: ExpressionSpecification, more = {}) =>
    draw(layer, {
      type: "line",
      filter,
      layout: { "line-cap": "round", "line-join": "round" },
      paint: {
        "line-color": colour,
        "line-width": ["interpolate", ["exponential", 1.4], ["zoom"], 10, widths[0], 18, widths[1]],
        ...more,
      },
    });

  area("earth", LAND);
  for (const layer of ["landcover", "landuse"]) area(layer, GREEN, kindIn(GREENS));
  area("park", GREEN);
  for (const layer of ["water", "ocean"]) area(layer, WATER, ["==", ["geometry-type"], "Polygon"]);
  for (const layer of ["waterway", "water"]) line(layer, WATER, [0.6, 8], ["==", ["geometry-type"], "LineString"]);
  for (const layer of ["building", "buildings"]) area(layer, BUILT);
  for (const layer of ["transportation", "roads"]) {
    const road = (kinds: string[]) => kindIn(kinds);
    line(layer, CASING, [0.3, 3], road(NARROW), { "line-dasharray": [2, 2] });
    line(layer, BORDER, [0.4, 3], road(RAIL), { "line-dasharray": [4, 3] });
    const other: ExpressionSpecification = [
      "all", ["==", ["geometry-type"], "LineString"], ["!", kindIn([...WIDE, ...MIDDLE, ...RAIL, ...NARROW, "ferry", "aeroway"])],
    ];
    const drawn: [[number, number], ExpressionSpecification][] = [[[0.3, 14], other], [[1, 22], road(MIDDLE)], [[1.6, 30], road(WIDE)]];
    for (const [widths, filter] of drawn) line(layer, CASING, [widths[0] + 0.6, widths[1] + 2], filter);
    for (const [widths, filter] of drawn) line(layer, ROAD, widths, filter);
  }
  for (const layer of ["boundary", "boundaries"]) {
    line(layer, BORDER, [0.8, 2.4], ["!=", ["get", "maritime"], 1], { "line-dasharray": [3, 2] });
  }
  const named = (layer: string, size: number, more: object) =>
    draw(layer, {
      type: "symbol",
      layout: { "text-field": nameIn(language), "text-font": ["sans-serif"], "text-size": size, ...more },
      paint: { "text-color": INK, "text-halo-color": LAND, "text-halo-width": 1.6 },
    });
  for (const layer of ["transportation_name", "roads"]) named(layer, 11, { "symbol-placement": "line" });
  for (const layer of ["place", "places"]) named(layer, 13, { "text-max-width": 8 });
  return found;
}

/** Whether the feature's kind (`class` in OpenMapTiles, `kind` in Protomaps, `pmap:kind` before) is one of these. */
function kindIn(kinds: string[]): ExpressionSpecification {
  return ["in", ["coalesce", ["get", "class"], ["get", "kind"], ["get", "pmap:kind"], ""], ["literal", kinds]];
}

/** The name in the reader's language, else the one that stands there. */
function nameIn(language: string): ExpressionSpecification {
  return ["coalesce", ["get", `name:${language}`], ["get", "name"], ""];
}

/** An attribution as text: what a file says is never taken as markup of ours. */
function plain(attribution: unknown): string {
  if (typeof attribution !== "string") return "";
  const words = attribution.replace(/<[^>]*>?/g, ""); // before parsing, which tries what it finds in attributes
  return (new DOMParser().parseFromString(words, "text/html").body.textContent ?? "").trim().slice(0, 200);
}
