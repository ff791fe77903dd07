// One camera's recordings in one element: the WebSocket of /video/playback, Media Source Extensions, and what is told.
// The layout of binary messages is in playback/messages.py.
import { canShow } from "./mse";
import type { Span } from "./timeline";

const HEAD = 24;
const TICKS = 90_000;
const KEEP = 20; // seconds of timeline kept behind the picture

export type Problem = { code: string; status: number; detail: string };
export type Opened = {
  view: string; since: number; until: number; base: number; watermark: string | null; token: string;
};
type Told = {
  opened?: Opened;
  problem?: Problem;
  cut?: Problem;
  moved?: { n: number; at: number | null };
  missing?: Span[];
  frame?: { n: number; at: number | null; shown: number | null };
  ended?: { at: number };
  token?: string;
};
/** A unit: its place on the timeline, when that was taken, and how many microseconds of our clock pass in a second of it. */
type Unit = { at: number; us: number; pace: number };
type Job = { offset?: number; codec?: string; data?: Uint8Array<ArrayBuffer>; clear?: true };

export type FilmEvents = {
  opened: (opened: Opened) => void;
  ended: () => void;
  missing: (spans: Span[]) => void;
  /** It is over: `cut`, `refused` or `lost`; nothing of it is on the screen any more. */
  over: (how: "cut" | "refused" | "lost", problem: Problem | null) => void;
  unsupported: (codec: string) => void;
  /** The answer to a step: when that frame was taken; null where there is none. */
  stepped: (at: number | null) => void;
};

export class Film {
  readonly video = document.createElement("video");
  opened: Opened | null = null;
  /** Told since the last move: where there are no pictures. */
  missing: Span[] = [];
  /** Nothing more comes before the end of the view. */
  complete = false;
  private token = "";
  private socket: WebSocket | null = null;
  private source: MediaSource | null = null;
  private buffer: SourceBuffer | null = null;
  private address = "";
  private codec = "";
  private jobs: Job[] = [];
  private units: Unit[] = [];
  private wanted = 0; // number of the last move that was asked for
  private heard = 0; // and of the last that was answered: what comes before is of an older place
  private failed = false;

  private readonly camera: string;

  constructor(
    request: Record<string, unknown>,
    language: string,
    private readonly events: FilmEvents,
  ) {
    this.camera = String(request.camera);
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.disablePictureInPicture = true;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/video/playback?gaps=wait&lang=${language}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(request));
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.socket) return;
      if (typeof event.data === "string") this.hear(JSON.parse(event.data) as Told);
      else if (this.heard === this.wanted) this.take(event.data);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.end("lost", null);
    };
  }

  /** Everything is taken off the screen and let go of. */
  close(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.blank();
  }

  seek(us: number): void {
    this.missing = [];
    this.complete = false;
    this.jobs = [{ clear: true }];
    this.units = [];
    this.say({ n: ++this.wanted, seek: Math.round(us) });
  }

  /** From which moment on, so that what comes fits: above some speeds only whole pictures are sent. */
  play(speed: number, us: number, anew: boolean): void {
    this.say({ n: this.wanted, play: speed });
    if (anew) this.seek(us);
  }

  pause(): void {
    this.say({ pause: true });
  }

  step(by: 1 | -1, us: number): void {
    this.complete = false;
    this.missing = [];
    this.say({ n: ++this.wanted, step: by, at: Math.round(us) });
  }

  here(us: number): void {
    this.say({ here: Math.round(us) });
  }

  /** Where the moment lies on the element's timeline, in seconds. */
  place(us: number): number {
    const unit = this.units.findLast((each) => each.us <= us);
    if (unit) return unit.at + (us - unit.us) / unit.pace;
    return this.opened ? (us - this.opened.base) / 1e6 : 0;
  }

  /** When the picture at that place of the timeline was taken. */
  taken(at: number): number {
    const unit = this.units.findLast((each) => each.at <= at);
    return unit ? unit.us + (at - unit.at) * unit.pace : (this.opened?.base ?? 0) + at * 1e6;
  }

  /** Whether there is a picture to show for the moment. */
  has(us: number): boolean {
    const at = this.place(us);
    const { buffered } = this.video;
    for (let index = 0; index < buffered.length; index++) {
      if (buffered.start(index) - 0.06 <= at && at < buffered.end(index) + 0.02) return true;
    }
    return false;
  }

  /** The stretch without pictures in which the moment lies, as told. */
  missingAt(us: number): Span | undefined {
    return this.missing.find((span) => span.start <= us + 40_000 && us < span.end);
  }

  /** Where the small picture of that moment is; null while the view is not open. Good for a minute. */
  thumbnail(us: number): string | null {
    const { opened } = this;
    if (!opened || !this.socket || us < opened.since || us >= opened.until) return null;
    const view = `/api/video/views/${opened.view}/${this.camera}/${opened.since}-${opened.until}`;
    return `${view}/thumbnails/${Math.round(us)}.jpg?token=${encodeURIComponent(this.token)}`;
  }

  private say(said: Record<string, unknown>): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(said));
  }

  private hear(told: Told): void {
    if (told.token) {
      this.token = told.token;
    } else if (told.opened) {
      this.opened = told.opened;
      this.token = told.opened.token;
      this.events.opened(told.opened);
    } else if (told.problem) {
      this.end("refused", told.problem);
    } else if (told.cut) {
      this.end("cut", told.cut);
    } else if (told.moved) {
      this.heard = told.moved.n;
    } else if (this.heard !== this.wanted) {
      return;
    } else if (told.missing) {
      this.missing.push(...told.missing);
      this.events.missing(told.missing);
    } else if (told.frame) {
      this.events.stepped(told.frame.at);
    } else if (told.ended) {
      this.complete = true;
      this.events.ended();
    }
  }

  private end(how: "cut" | "refused" | "lost", problem: Problem | null): void {
    this.close();
    this.events.over(how, problem);
  }

  private blank(): void {
    this.jobs = [];
    this.units = [];
    this.buffer = null;
    this.source = null;
    this.video.classList.add("is-blank");
    if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load(); // the element lets go of the frame it shows
    }
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = "";
  }

  private take(message: ArrayBuffer): void {
    if (message.byteLength <= HEAD) return;
    const view = new DataView(message);
    if (view.getUint8(0) === 1) {
      const at = Number(view.getBigUint64(16)) / TICKS;
      const unit = { at, us: Number(view.getBigUint64(8)), pace: view.getUint32(4) / 1000 };
      const later = this.units.findIndex((each) => each.at >= at);
      if (later < 0) this.units.push(unit);
      else this.units.splice(later, this.units[later]!.at === at ? 1 : 0, unit);
      const length = view.getUint8(HEAD);
      const codec = new TextDecoder().decode(new Uint8Array(message, HEAD + 1, length));
      this.failed = !canShow(codec);
      if (this.failed) {
        this.events.unsupported(codec);
        return;
      }
      this.jobs.push({ offset: at, codec, data: new Uint8Array(message, HEAD + 1 + length) });
      if (!this.source) this.open(codec);
    } else if (!this.failed) {
      this.jobs.push({ data: new Uint8Array(message, HEAD) });
    }
    this.work();
  }

  private open(codec: string): void {
    const source = new MediaSource();
    this.source = source;
    this.codec = codec;
    source.addEventListener("sourceopen", () => {
      if (source !== this.source || !this.opened) return;
      source.duration = (this.opened.until - this.opened.base) / 1e6 + 60;
      const buffer = source.addSourceBuffer(`video/mp4; codecs="${codec}"`);
      buffer.mode = "segments";
      buffer.addEventListener("updateend", () => this.work());
      this.buffer = buffer;
      this.work();
    });
    this.address = URL.createObjectURL(source);
    this.video.src = this.address;
  }

  private work(): void {
    const { buffer } = this;
    if (!buffer || buffer.updating || this.source?.readyState !== "open") return;
    const job = this.jobs.shift();
    if (!job) {
      this.tidy(buffer);
      return;
    }
    try {
      if (job.clear) {
        buffer.abort();
        if (buffer.buffered.length) buffer.remove(0, Infinity);
        else this.work();
        return;
      }
      if (job.codec && job.codec !== this.codec) {
        buffer.changeType(`video/mp4; codecs="${job.codec}"`);
        this.codec = job.codec;
      }
      if (job.offset !== undefined) {
        buffer.abort();
        buffer.timestampOffset = job.offset;
      }
      if (job.data) buffer.appendBuffer(job.data);
    } catch (error) {
      console.warn("playback buffer", error);
      this.work();
    }
  }

  private tidy(buffer: SourceBuffer): void {
    const { buffered } = buffer;
    const first = buffered.length ? buffered.start(0) : Infinity;
    if (this.video.currentTime - first > 2 * KEEP) buffer.remove(first, this.video.currentTime - KEEP);
    if (this.units.length > 2000) this.units.splice(0, 1000);
  }
}
