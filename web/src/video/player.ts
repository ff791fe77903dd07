// One live view in one element: connects, shows, says in words how it is, and blanks at once when it is cut.
import { AGAIN_AFTER, isPassing } from "./ends";
import { SecondPerson, type Given } from "./giving";
import { Picture } from "./mse";
import { fill, type Words } from "./words";

export type ViewRequest = Given & { camera: string; action: "view_live" };

export type Role = "main" | "sub";
type Problem = { code: string; status: number; title: string; detail: string };
type Told = {
  opened?: { view: string; watermark: string | null; role: Role; now: number };
  problem?: Problem;
  cut?: Problem;
  away?: string;
  left_out?: number;
  role?: Role;
  why?: string;
  clock?: number;
  now?: number;
};

export type State = "asking" | "connecting" | "live" | "away" | "cut" | "refused" | "lost" | "hidden" | "unsupported";

const PAUSES = [0.5, 1, 2, 4, 8, 15]; // seconds before another attempt
const BEHIND = 0.045; // seconds: one frame of 25 a second and a little
const CLOCK_EVERY = 10; // seconds; more often at first, when the page is busy and an answer may wait
const CLOCK_FIRST = 8;
const HIDDEN_AFTER = 2_000;
const SILENT_AFTER = 4_000; // without a frame, while the connection says nothing

export class Player {
  readonly video = document.createElement("video");
  state: State = "connecting";
  /** Milliseconds from the recorder to the screen, smoothed. */
  delay: number | null = null;

  private readonly picture: Picture;
  private readonly status = document.createElement("p");
  private readonly retry = document.createElement("button");
  private readonly meter = document.createElement("p");
  private readonly marks = document.createElement("div");
  private socket: WebSocket | null = null;
  private attempts = 0;
  private timer = 0;
  private hiding = 0;
  private offset: number | null = null; // of the server's clock: its milliseconds less ours
  private bestTrip = Infinity;
  private watermark = "";
  private lastFrame = 0;
  private lastTick = performance.now();
  private ticks = 0; // since it connected
  private ended = false;
  private asking: SecondPerson | null = null;
  private confirmation: string | null = null;
  private missing = ""; // what the last refusal says is missing
  private readonly every: number;
  private readonly onVisibility = (): void => this.visibility();

  constructor(
    private readonly root: HTMLElement,
    private readonly request: ViewRequest,
    private readonly words: Words,
    private role: Role,
    second = false, // it is known beforehand that a second person's word is needed
    private readonly changed: (player: Player) => void = () => undefined,
  ) {
    root.classList.add("live-player");
    this.status.className = "live-status";
    this.status.setAttribute("role", "status");
    this.retry.type = "button";
    this.retry.className = "button quiet live-retry";
    this.retry.textContent = fill(words, "retry");
    this.retry.hidden = true;
    this.retry.addEventListener("click", () => {
      if (this.missing === "second_person_missing") this.askSecond();
      else this.connect();
    });
    this.meter.className = "live-delay";
    this.marks.className = "live-marks";
    this.marks.setAttribute("aria-hidden", "true");
    const note = document.createElement("div");
    note.className = "live-note";
    note.append(this.status, this.retry);
    root.replaceChildren(this.video, this.marks, this.meter, note);
    this.picture = new Picture(this.video, {
      behind: BEHIND,
      shown: ({ wall, now }) => this.shown(wall, now),
      unsupported: (codec) => this.unsupported(codec),
    });
    this.every = window.setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", this.onVisibility);
    if (second) this.askSecond();
    else this.connect();
  }

  /** The view is ended, for good. */
  close(): void {
    this.ended = true;
    window.clearInterval(this.every);
    window.clearTimeout(this.timer);
    window.clearTimeout(this.hiding);
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.asking?.stop();
    this.hangUp();
    this.root.replaceChildren();
    this.root.classList.remove("live-player");
  }

  /** The small or the large picture of the camera. */
  use(role: Role): void {
    if (role === this.role) return;
    this.role = role;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ role }));
  }

  /** Another person of the party is asked for a word; then it connects. */
  private askSecond(): void {
    this.hangUp();
    this.asking?.stop();
    this.say("asking", "connecting");
    this.asking = new SecondPerson(
      this.request,
      this.words,
      (text) => {
        this.status.textContent = text;
      },
      (confirmation) => {
        this.asking = null;
        this.confirmation = confirmation;
        if (confirmation) {
          this.connect();
          return;
        }
        this.state = "refused";
        this.missing = "second_person_missing";
        this.offer();
        this.show();
      },
    );
  }

  /** The button beside what is said: the next attempt, or first the word of a second person. */
  private offer(): void {
    this.retry.textContent = fill(this.words, this.missing === "second_person_missing" ? "ask_second" : "retry");
    this.retry.hidden = false;
  }

  private connect(): void {
    this.hangUp();
    if (this.ended) return;
    this.missing = "";
    window.clearTimeout(this.timer);
    this.say("connecting", "connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const language = document.documentElement.lang;
    const socket = new WebSocket(`${scheme}://${location.host}/video/live?role=${this.role}&lang=${language}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.picture.prepare();
    this.bestTrip = Infinity;
    this.ticks = 0;
    let answered = false;
    socket.onopen = () => socket.send(JSON.stringify({ ...this.request, confirmation: this.confirmation }));
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.socket) return;
      if (typeof event.data !== "string") {
        this.lastFrame = performance.now();
        this.picture.take(event.data);
        return;
      }
      const told = JSON.parse(event.data) as Told;
      if (told.opened || told.problem || told.cut) answered = true;
      this.hear(told);
    };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.socket = null;
      // Nothing may stand on the screen that is not live and not ours to see any more.
      this.blank();
      if (this.state === "cut" || this.state === "refused" || this.state === "unsupported") return;
      this.again(answered ? "lost" : "unreachable");
    };
  }

  private hear(told: Told): void {
    if (told.opened) {
      this.confirmation = null; // it is for one view
      this.watermark = told.opened.watermark ?? "";
      this.role = told.opened.role;
      this.lastFrame = performance.now();
      this.mark();
      this.askClock();
      this.say("connecting", "waiting");
    } else if (told.problem) {
      if (isPassing(told.problem)) {
        this.blank();
        this.again("unavailable", told.problem.detail);
      } else {
        this.stop("refused", told.problem);
      }
    } else if (told.cut) {
      this.stop("cut", told.cut);
      if (isPassing(told.cut)) this.timer = window.setTimeout(() => this.connect(), AGAIN_AFTER);
    } else if (told.away) {
      this.picture.blank();
      this.delay = null;
      this.say("away", `away_${told.away}`, "away");
    } else if (told.clock !== undefined && told.now !== undefined) {
      const here = performance.now();
      const trip = here - told.clock;
      if (trip < this.bestTrip) {
        this.bestTrip = trip;
        this.offset = told.now + trip / 2 - (performance.timeOrigin + here);
      }
    } else if (told.role) {
      this.role = told.role;
      if (told.why && this.state === "unsupported") {
        this.say("unsupported", "unsupported");
        this.hangUp();
      }
    }
  }

  /** A picture came on the screen. */
  private shown(wall: number, now: number): void {
    if (this.state !== "live") {
      this.attempts = 0;
      this.say("live", "live");
    }
    if (this.offset === null) return;
    const delay = performance.timeOrigin + now + this.offset - wall;
    this.delay = this.delay === null ? delay : this.delay + (delay - this.delay) * 0.1;
  }

  private unsupported(codec: string): void {
    if (this.role === "main" && this.socket?.readyState === WebSocket.OPEN) {
      this.say("unsupported", "unsupported_trying", undefined, { codec });
      this.socket.send(JSON.stringify({ role: "sub" }));
      return;
    }
    this.say("unsupported", "unsupported", undefined, { codec });
    this.hangUp();
  }

  private stop(state: "cut" | "refused", problem: Problem): void {
    this.hangUp();
    this.state = state;
    this.status.textContent = fill(this.words, state, { why: problem.detail || problem.title });
    this.missing = state === "refused" ? problem.code : "";
    this.offer();
    this.show();
  }

  private again(name: string, why = ""): void {
    const seconds = PAUSES[Math.min(this.attempts, PAUSES.length - 1)]! * (0.75 + Math.random() / 2);
    this.attempts++;
    this.say("lost", name, undefined, { why, seconds: Math.max(1, Math.round(seconds)) });
    this.missing = "";
    this.offer();
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.connect(), seconds * 1000);
  }

  private blank(): void {
    this.picture.blank();
    this.delay = null;
    this.marks.replaceChildren();
    this.meter.textContent = "";
  }

  private hangUp(): void {
    const socket = this.socket;
    this.socket = null;
    this.blank();
    socket?.close();
  }

  private say(state: State, name: string, other?: string, facts: Record<string, string | number> = {}): void {
    this.state = state;
    this.status.textContent = fill(this.words, name in this.words || !other ? name : other, facts);
    this.retry.hidden = true;
    this.show();
  }

  private show(): void {
    this.root.dataset.state = this.state;
    this.changed(this);
  }

  private tick(): void {
    const now = performance.now();
    // A page that was held up itself has not heard yet what came meanwhile.
    if (now - this.lastTick > 2500) this.lastFrame = now;
    this.lastTick = now;
    this.mark();
    if (this.state === "live") {
      const silent = now - this.lastFrame > SILENT_AFTER;
      this.meter.textContent = silent
        ? fill(this.words, "silent")
        : this.delay === null ? "" : fill(this.words, "delay", { ms: Math.max(0, Math.round(this.delay)) });
      if (silent) {
        // Neither frames nor a word: the connection may hang. A new one tells.
        this.hangUp();
        this.again("lost");
      }
    }
    this.ticks++;
    if (this.ticks < CLOCK_FIRST || this.ticks % CLOCK_EVERY === 0) this.askClock();
  }

  private askClock(): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ clock: performance.now() }));
  }

  /** Who watches and when, over the picture: whoever films the screen films that too. */
  private mark(): void {
    if (!this.watermark || !this.socket) return;
    const time = new Date().toLocaleString(`${document.documentElement.lang}-${document.documentElement.lang === "en" ? "GB" : "BE"}`, {
      timeZone: "Europe/Brussels",
    });
    const text = `${this.watermark} · ${time}`;
    if (this.marks.childElementCount === 0) {
      for (let index = 0; index < 6; index++) this.marks.append(document.createElement("span"));
    }
    for (const each of this.marks.children) each.textContent = text;
  }

  private visibility(): void {
    window.clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = window.setTimeout(() => {
        if (this.state === "cut" || this.state === "refused" || this.state === "asking") return;
        window.clearTimeout(this.timer);
        this.hangUp();
        this.say("hidden", "hidden");
      }, HIDDEN_AFTER);
    } else if (this.state === "hidden") {
      this.connect();
    }
  }
}
