// A zoomable timeline of one or more cameras on a canvas: what there is at each moment, drawn as it is told.
import { Clock, civil } from "./civil";

export type State =
  | "recorded" | "held" | "gap" | "deleted_by_term" | "not_yours" | "remote_not_asked" | "unknown";
export type Span = { start: number; end: number; state: State; reason: string };
export type Part = { start: number; end: number; us: Partial<Record<State, number>> };
export type Row = { name: string; spans: Span[]; parts?: Part[] };

export const STATES: State[] = [
  "recorded", "held", "gap", "deleted_by_term", "not_yours", "remote_not_asked", "unknown",
];
const SECOND = 1e6;
const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400, 30 * 86400];
const NAME = 17; // above the bar: on it, it would hide what there is
const ROW = 26;
const GAP = 4;
const STRIDE = NAME + ROW + GAP;
const HEAD = 22;
const LEAST = 10 * SECOND;
const MOST = 366 * 86400 * SECOND;

export type TimelineEvents = {
  /** Somebody chose a moment. */
  seek: (us: number, done: boolean) => void;
  /** Another stretch of time is shown. */
  shown: (from: number, to: number) => void;
  /** What a screen reader says of the moment. */
  describe: (us: number) => string;
};

export class Timeline {
  rows: Row[] = [];
  from = 0;
  to = 1;
  at = 0;
  /** What may be played: the interval of the views. */
  playable: [number, number] = [0, 0];
  private readonly patterns = new Map<State, CanvasPattern | string>();
  private readonly pointers = new Map<number, number>();
  private moved = false;
  private grip = 0;
  private spread = 0;
  private asked = 0;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly clock: Clock,
    private readonly events: TimelineEvents,
  ) {
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(name, (event) => this.release(event, name === "pointerup"));
    }
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** The stretch of time that is shown, kept within reason. */
  show(from: number, to: number): void {
    const length = Math.min(MOST, Math.max(LEAST, to - from));
    const middle = (from + to) / 2;
    this.from = middle - length / 2;
    this.to = middle + length / 2;
    this.draw();
    this.events.shown(this.from, this.to);
  }

  zoom(factor: number, around = this.at): void {
    const point = around >= this.from && around <= this.to ? around : (this.from + this.to) / 2;
    this.show(point - (point - this.from) * factor, point + (this.to - point) * factor);
  }

  /** Redrawn with the next picture of the screen. */
  draw(): void {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.paint();
    });
  }

  /** Which row lies at this height of the canvas, or -1. */
  rowAt(y: number): number {
    const row = Math.floor((y - HEAD) / STRIDE);
    return y >= HEAD && row < this.rows.length ? row : -1;
  }

  place(us: number): number {
    return ((us - this.from) / (this.to - this.from)) * this.canvas.clientWidth;
  }

  moment(x: number): number {
    return this.from + (x / this.canvas.clientWidth) * (this.to - this.from);
  }

  private paint(): void {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = HEAD + this.rows.length * STRIDE + GAP;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      this.patterns.clear();
    }
    canvas.style.setProperty("height", `${height}px`);
    const pen = canvas.getContext("2d");
    if (!pen) return;
    const colour = (name: string): string => getComputedStyle(canvas).getPropertyValue(name).trim();
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.axis(pen, width, height, colour);
    this.rows.forEach((row, index) => {
      const top = HEAD + index * STRIDE + NAME;
      for (const span of row.spans) {
        if (span.end <= this.from || span.start >= this.to) continue;
        const left = Math.max(0, this.place(span.start));
        const right = Math.min(width, this.place(span.end));
        // A gap of a moment is still a gap: never narrower than a pixel. Recorded stretches give way to it.
        pen.fillStyle = this.fill(pen, span.state);
        pen.fillRect(left, top, Math.max(span.state === "recorded" ? 0 : 1, right - left), ROW);
      }
      for (const part of row.parts ?? []) this.mix(pen, part, top, width);
      pen.strokeStyle = colour("--edge");
      pen.lineWidth = 1;
      pen.strokeRect(0.5, top + 0.5, width - 1, ROW - 1);
    });
    const bottom = height - GAP;
    // What lies outside the views is there to be seen as a fact, not to be played.
    pen.fillStyle = colour("--paper");
    pen.globalAlpha = 0.55;
    const begin = this.place(this.playable[0]);
    const end = this.place(this.playable[1]);
    if (begin > 0) pen.fillRect(0, HEAD, Math.min(begin, width), bottom - HEAD);
    if (end < width) pen.fillRect(Math.max(0, end), HEAD, width - Math.max(0, end), bottom - HEAD);
    pen.globalAlpha = 1;
    pen.font = "600 12px system-ui, sans-serif";
    this.rows.forEach((row, index) => {
      const top = HEAD + index * STRIDE;
      // The lines of the axis end at the name.
      pen.fillStyle = colour("--paper");
      pen.fillRect(0, top + 1, pen.measureText(row.name).width + 6, NAME - 2);
      pen.fillStyle = colour("--ink");
      pen.fillText(row.name, 0, top + 12);
    });
    const x = Math.round(this.place(this.at));
    if (x >= 0 && x <= width) {
      pen.fillStyle = colour("--ink");
      pen.fillRect(x - 1, HEAD - 6, 2, bottom - HEAD + 6);
      pen.beginPath();
      pen.moveTo(x - 6, HEAD - 8);
      pen.lineTo(x + 6, HEAD - 8);
      pen.lineTo(x, HEAD);
      pen.fill();
    }
    canvas.setAttribute("aria-valuemin", String(Math.round(this.playable[0] / SECOND)));
    canvas.setAttribute("aria-valuemax", String(Math.round(this.playable[1] / SECOND)));
    canvas.setAttribute("aria-valuenow", String(Math.round(this.at / SECOND)));
    canvas.setAttribute("aria-valuetext", this.events.describe(this.at));
  }

  private axis(
    pen: CanvasRenderingContext2D, width: number, height: number, colour: (name: string) => string,
  ): void {
    const room = Math.max(2, Math.floor(width / 92));
    const step = STEPS.find((each) => (this.to - this.from) / (each * SECOND) <= room) ?? STEPS.at(-1)!;
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "left";
    // Hours are looked at one by one: on two days of the year they are 23 or 25.
    const stride = Math.min(step, 3600) * SECOND;
    let last = -Infinity;
    for (let us = Math.ceil(this.from / stride) * stride; us <= this.to; us += stride) {
      if (step > 3600) {
        const { hour, date } = civil(us);
        if (hour % Math.min(24, step / 3600) !== 0) continue;
        const days = step / 86400;
        if (days > 1 && Math.floor(Date.parse(`${date}T00:00:00Z`) / 86400000) % days !== 0) continue;
      }
      const x = this.place(us);
      pen.fillStyle = colour("--line");
      pen.fillRect(Math.round(x), HEAD - 4, 1, height - HEAD);
      const { hour, minute } = civil(us);
      const text = step >= 86400 || (hour === 0 && minute === 0)
        ? this.clock.date(us)
        : step < 60 ? civil(us).time : this.clock.mark(us);
      if (x - last < pen.measureText(text).width + 14) continue;
      last = x;
      pen.fillStyle = colour("--muted");
      pen.fillText(text, Math.min(x + 3, width - pen.measureText(text).width), 12);
    }
  }

  private mix(pen: CanvasRenderingContext2D, part: Part, top: number, width: number): void {
    if (part.end <= this.from || part.start >= this.to) return;
    const left = Math.max(0, this.place(part.start));
    const right = Math.min(width, this.place(part.end));
    let y = top;
    for (const state of STATES) {
      const share = ((part.us[state] ?? 0) / (part.end - part.start)) * ROW;
      if (!share) continue;
      pen.fillStyle = this.fill(pen, state);
      pen.fillRect(left, y, Math.max(1, right - left), share);
      y += share;
    }
  }

  /** Each state differs by its pattern too, not by colour alone (WCAG 2.2, 1.4.1). */
  fill(pen: CanvasRenderingContext2D, state: State): CanvasPattern | string {
    let found = this.patterns.get(state);
    if (found === undefined) {
      found = pattern(pen, state);
      this.patterns.set(state, found);
    }
    return found;
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = ((event.deltaX || event.deltaY) / this.canvas.clientWidth) * (this.to - this.from);
      this.show(this.from + by, this.to + by);
      return;
    }
    this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.moment(event.offsetX));
  }

  private press(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event.offsetX);
    this.moved = false;
    this.grip = this.moment(event.offsetX);
    this.spread = this.distance();
  }

  private drag(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) return;
    if (Math.abs(event.offsetX - before) < 3 && !this.moved) return;
    this.pointers.set(event.pointerId, event.offsetX);
    this.moved = true;
    if (this.pointers.size > 1) {
      const now = this.distance();
      if (this.spread > 8 && now > 8) this.zoom(this.spread / now, (this.from + this.to) / 2);
      this.spread = now;
      return;
    }
    const by = this.grip - this.moment(event.offsetX);
    this.show(this.from + by, this.to + by);
  }

  private release(event: PointerEvent, here: boolean): void {
    const known = this.pointers.delete(event.pointerId);
    if (known && here && !this.moved && this.pointers.size === 0) this.events.seek(this.moment(event.offsetX), true);
  }

  private distance(): number {
    const [first, second] = [...this.pointers.values()];
    return first === undefined || second === undefined ? 0 : Math.abs(first - second);
  }
}

/** The state at a moment, of one row. */
export function spanAt(row: Row, us: number): Span | undefined {
  return row.spans.find((span) => span.start <= us && us < span.end);
}

function pattern(pen: CanvasRenderingContext2D, state: State): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d")!;
  const ground = (colour: string): void => {
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 8, 8);
  };
  const stripes = (colour: string, wide: number): void => {
    brush.strokeStyle = colour;
    brush.lineWidth = wide;
    brush.beginPath();
    for (const by of [-8, 0, 8]) {
      brush.moveTo(by - 2, 10);
      brush.lineTo(by + 10, -2);
    }
    brush.stroke();
  };
  switch (state) {
    case "recorded":
      return "#2f6fb3";
    case "held":
      ground("#2f6fb3");
      brush.fillStyle = "#ffc93c";
      brush.fillRect(0, 0, 8, 2);
      brush.fillRect(0, 6, 8, 2);
      break;
    case "gap":
      ground("#fceaec");
      stripes("#a01c2c", 2);
      break;
    case "deleted_by_term":
      ground("#e4e5ec");
      brush.fillStyle = "#8a8da2";
      brush.fillRect(0, 3, 8, 1.5);
      break;
    case "not_yours":
      ground("#41435a");
      stripes("#5d607a", 2);
      break;
    case "remote_not_asked":
      ground("#f6f6fb");
      brush.fillStyle = "#b9bcd0";
      brush.fillRect(0, 0, 4, 4);
      brush.fillRect(4, 4, 4, 4);
      break;
    case "unknown":
      ground("#fff");
      brush.fillStyle = "#9a9db2";
      brush.fillRect(3, 3, 1.5, 1.5);
      break;
  }
  return pen.createPattern(tile, "repeat") ?? "#fff";
}
