// The camera map: MapLibre over our own GeoJSON, in place of the drawing that the page came with. Below it lies the site's
// base map where there is one, else cells of municipalities. Nothing is fetched from elsewhere; where WebGL is missing the
// drawing stays. Markers have the numbers of the list beside the map.
import {
  type ExpressionSpecification,
  type GeoJSONSource,
  type LayerSpecification,
  LngLatBounds,
  Map as Chart,
  NavigationControl,
  Popup,
  ScaleControl,
  setWorkerUrl,
} from "maplibre-gl";
import { type BaseMap, openBaseMap } from "./base-map";

// As --owner-0 to --owner-7 in map.css. Source: M. Okabe and K. Ito, Color Universal Design; darkened for white digits.
const COLOURS = ["#0b5f93", "#b04a00", "#006b4f", "#8a3b73", "#7a5a00", "#3b3f9e", "#9c1f2e", "#3d4452"];

interface Facts {
  kind: string;
  number: number;
  code: string;
  name: string;
  owner: string;
  colour: number;
  direction_deg: number | null;
  health?: string;
  state?: string;
  link?: string;
}

interface Feature {
  type: "Feature";
  properties: Facts;
  geometry: { type: string; coordinates: [number, number] | [number, number][][] };
}

/** Puts a map that can be moved where the drawing is, if this browser can draw one. */
export function mount(root: HTMLElement): void {
  const source = root.dataset.source;
  const worker = root.dataset.worker;
  if (!source || !worker || !document.createElement("canvas").getContext("webgl2")) return;
  setWorkerUrl(new URL(worker, location.href).href);
  const cameras = fetch(source, { headers: { Accept: "application/geo+json" } }).then(
    (answer): Promise<{ features: Feature[] }> =>
      answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status))),
  );
  const tiles = root.dataset.tiles;
  const base = tiles ? openBaseMap(tiles, document.documentElement.lang) : null;
  void Promise.all([cameras, base])
    .then(([data, found]) => show(root, data.features, found))
    .catch(() => undefined); // the drawing stays
}

function show(root: HTMLElement, features: Feature[], base: BaseMap | null): void {
  const said = root.dataset;
  root.closest("[hidden]")?.removeAttribute("hidden");
  const frame = document.createElement("div");
  frame.className = "camera-chart";
  root.append(frame);
  const of = (kind: string) => ({
    type: "FeatureCollection" as const,
    features: features.filter((each) => each.properties.kind === kind) as never[],
  });
  const cameras = features.filter((each) => each.properties.kind === "camera");
  const colour: ExpressionSpecification = [
    "to-color",
    ["at", ["coalesce", ["get", "colour"], 0], ["literal", COLOURS]],
  ];
  const cells: LayerSpecification[] = [
    { id: "cells", type: "fill", source: "cells", paint: { "fill-color": "#fff" } },
    { id: "borders", type: "line", source: "cells", paint: { "line-color": "#b9bdcf", "line-width": 1.2 } },
    { id: "lines", type: "line", source: "lines", paint: { "line-color": "#dfe2ec", "line-width": 0.7 } },
  ];
  const layers: LayerSpecification[] = [
    { id: "ground", type: "background", paint: { "background-color": "#eef0f5" } },
    ...(base?.layers ?? cells),
    { id: "views", type: "fill", source: "views", paint: { "fill-color": colour, "fill-opacity": 0.28 } },
    { id: "edges", type: "line", source: "views", paint: { "line-color": colour, "line-width": 1.2 } },
    {
      id: "noses",
      type: "symbol",
      source: "cameras",
      filter: ["all", ["!=", ["get", "direction_deg"], null], ["has", "direction_deg"]],
      layout: {
        "icon-image": ["concat", "nose-", ["to-string", ["get", "colour"]]],
        "icon-rotate": ["coalesce", ["get", "direction_deg"], 0],
        "icon-rotation-alignment": "map",
        "icon-allow-overlap": true,
      },
    },
    {
      id: "cameras",
      type: "symbol",
      source: "cameras",
      layout: { "icon-image": ["concat", "camera-", ["get", "code"]], "icon-allow-overlap": true },
    },
  ];
  const bounds = new LngLatBounds();
  for (const each of cameras) bounds.extend(each.geometry.coordinates as [number, number]);
  if (bounds.isEmpty()) bounds.extend([4.24, 50.76]).extend([4.49, 50.92]); // the Region
  const chart = new Chart({
    container: frame,
    style: {
      version: 8,
      sources: {
        ...(base ? { base: base.source } : {}),
        cells: { type: "geojson", data: of("cell") },
        lines: { type: "geojson", data: graticule(bounds) },
        views: { type: "geojson", data: of("view") },
        cameras: { type: "geojson", data: of("camera") },
      },
      layers,
    },
    bounds,
    fitBoundsOptions: { padding: 60, maxZoom: 16 },
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    locale: {
      "Map.Title": `${said.label ?? ""}. ${said.keys ?? ""}`,
      "NavigationControl.ZoomIn": said.zoomIn ?? "",
      "NavigationControl.ZoomOut": said.zoomOut ?? "",
      "NavigationControl.ResetBearing": said.north ?? "",
    },
  });
  chart.addControl(new NavigationControl({ showCompass: false }), "top-right");
  chart.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
  for (const [index, shade] of COLOURS.entries()) chart.addImage(`nose-${index}`, nose(shade), { pixelRatio: 2 });
  for (const each of cameras) {
    chart.addImage(`camera-${each.properties.code}`, badge(each.properties), { pixelRatio: 2 });
  }
  chart.on("load", () => {
    root.classList.add("charted"); // hides the drawing
    root.dataset.ready = "";
    if (base) root.dataset.base = ""; // which of the two is shown
  });
  if (base?.attribution) {
    const source = document.createElement("p");
    source.className = "small muted map-source";
    source.textContent = base.attribution;
    root.after(source);
  }
  if (root.dataset.pick !== undefined) pick(chart);
  tie(root, chart, cameras);
}

/** List and map follow each other: what is chosen in one is shown in the other. */
function tie(root: HTMLElement, chart: Chart, cameras: Feature[]): void {
  let popup: Popup | null = null;
  const point = (each: Feature, moved: boolean) => {
    popup?.remove();
    const place = each.geometry.coordinates as [number, number];
    const body = document.createElement("div");
    const title = document.createElement("strong");
    title.textContent = `${each.properties.number}. ${each.properties.name}`;
    const owner = document.createElement("p");
    owner.textContent = each.properties.owner;
    body.append(title, owner);
    if (each.properties.link?.startsWith("/")) {
      const link = document.createElement("a");
      link.href = each.properties.link;
      link.textContent = root.dataset.open ?? "";
      body.append(link);
    }
    popup = new Popup({ closeButton: false, offset: 20, focusAfterOpen: false, maxWidth: "18rem" })
      .setLngLat(place)
      .setDOMContent(body)
      .addTo(chart);
    if (moved) chart.easeTo({ center: place, duration: still() ? 0 : 300 });
    for (const row of document.querySelectorAll("[data-camera]")) {
      row.classList.toggle("chosen", row.getAttribute("data-camera") === each.properties.code);
    }
  };
  const find = (code: unknown) => cameras.find((each) => each.properties.code === code);
  chart.on("click", "cameras", (event) => {
    const found = find(event.features?.[0]?.properties.code);
    if (!found) return;
    point(found, false);
    const row = document.querySelector(`[data-camera="${CSS.escape(found.properties.code)}"]`);
    row?.scrollIntoView({ block: "nearest", behavior: still() ? "auto" : "smooth" });
  });
  chart.on("mouseenter", "cameras", () => (chart.getCanvas().style.cursor = "pointer"));
  chart.on("mouseleave", "cameras", () => (chart.getCanvas().style.cursor = ""));
  for (const row of document.querySelectorAll<HTMLElement>("[data-camera]")) {
    const found = find(row.dataset.camera);
    if (!found) continue;
    row.addEventListener("focusin", () => point(found, true));
    row.addEventListener("mouseenter", () => point(found, false));
  }
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") popup?.remove();
  });
}

/** A click fills in latitude and longitude of the form on this page, and what is typed there is shown. */
function pick(chart: Chart): void {
  const fields = ["latitude", "longitude"].map((name) => document.querySelector<HTMLInputElement>(`input[name="${name}"]`));
  const [latitude, longitude] = fields;
  if (!latitude || !longitude) return;
  const read = (field: HTMLInputElement) => (field.value.trim() ? Number(field.value.replace(",", ".")) : Number.NaN);
  const place = (): [number, number][] => {
    const [x, y] = [read(longitude), read(latitude)];
    return Math.abs(x) <= 180 && Math.abs(y) <= 85 ? [[x, y]] : [];
  };
  const data = () => ({
    type: "Feature" as const,
    properties: {},
    geometry: { type: "MultiPoint" as const, coordinates: place() },
  });
  chart.on("load", () => {
    chart.addSource("picked", { type: "geojson", data: data() });
    chart.addLayer({
      id: "picked",
      type: "circle",
      source: "picked",
      paint: { "circle-radius": 9, "circle-color": "#ffd400", "circle-stroke-color": "#1c2030", "circle-stroke-width": 3 },
    });
    const show = () => chart.getSource<GeoJSONSource>("picked")?.setData(data());
    for (const field of [latitude, longitude]) field.addEventListener("input", show);
    chart.on("click", (event) => {
      latitude.value = event.lngLat.lat.toFixed(6);
      longitude.value = event.lngLat.lng.toFixed(6);
      show();
    });
  });
  chart.getCanvas().style.cursor = "crosshair";
}

function still(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Lines of whole hundredths of a degree around what is shown. */
function graticule(bounds: LngLatBounds) {
  const step = 0.01;
  const reach = 0.25;
  const lines: [number, number][][] = [];
  if (!bounds.isEmpty()) {
    const [west, south] = [bounds.getWest() - reach, bounds.getSouth() - reach];
    const [east, north] = [bounds.getEast() + reach, bounds.getNorth() + reach];
    for (let at = Math.ceil(west / step); at * step <= east; at++) lines.push([[at * step, south], [at * step, north]]);
    for (let at = Math.ceil(south / step); at * step <= north; at++) lines.push([[west, at * step], [east, at * step]]);
  }
  return {
    type: "Feature" as const,
    properties: {},
    geometry: { type: "MultiLineString" as const, coordinates: lines },
  };
}

/** The marker of a camera: its number on its owner's colour, ringed where its recording is interrupted. */
function badge(facts: Facts): ImageData {
  return painted(64, (pen) => {
    pen.beginPath();
    pen.arc(32, 32, 26, 0, 2 * Math.PI);
    pen.fillStyle = facts.state === "paused" || facts.state === "retired" ? "#fff" : shade(facts.colour);
    pen.fill();
    pen.lineWidth = 5;
    pen.strokeStyle = facts.health === "interrupted" ? "#a01c2c" : facts.state === "paused" ? shade(facts.colour) : "#fff";
    pen.stroke();
    const text = String(facts.number);
    pen.fillStyle = facts.state === "paused" || facts.state === "retired" ? shade(facts.colour) : "#fff";
    pen.font = `700 ${text.length < 3 ? 28 : text.length < 4 ? 22 : 17}px sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, 32, 34);
  });
}

/** An arrow head, north of the marker, to be turned. */
function nose(colour: string): ImageData {
  return painted(112, (pen) => {
    pen.beginPath();
    pen.moveTo(56, 4);
    pen.lineTo(74, 32);
    pen.lineTo(38, 32);
    pen.closePath();
    pen.fillStyle = colour;
    pen.strokeStyle = "#fff";
    pen.lineWidth = 3;
    pen.fill();
    pen.stroke();
  });
}

function painted(size: number, paint: (pen: CanvasRenderingContext2D) => void): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  if (!pen) return new ImageData(size, size);
  paint(pen);
  return pen.getImageData(0, 0, size, size);
}

function shade(colour: number): string {
  return COLOURS[colour % COLOURS.length] ?? "#3d4452";
}
