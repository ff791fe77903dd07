// The page of playback: several cameras on one clock, a timeline that says what there is, and what is missing.
import { Clock, civil, instants } from "./civil";
import { AGAIN_AFTER, isPassing } from "./ends";
import { Film, type Problem } from "./film";
import { CARRIED, Fields, SecondPerson, type Giving } from "./giving";
import { Preview } from "./preview";
import { stay } from "./station";
import { STATES, Timeline, spanAt, type Part, type Row, type Span } from "./timeline";
import { fill, type Words } from "./words";

type Camera = { id: string; name: string };
type Answer = { now: number; cameras: Record<string, { visible_since: number | null; spans?: Span[]; parts?: Part[] }> };

const SECOND = 1e6;

/** One camera on the page. */
class Screen {
  readonly element = document.createElement("section");
  readonly row: Row;
  film: Film | null = null;
  over = false;
  private readonly stage = document.createElement("div");
  private readonly note = document.createElement("p");
  private readonly marks = document.createElement("div");
  private readonly retry = document.createElement("button");
  private asking: SecondPerson | null = null;
  private missing = ""; // what the last refusal says is missing
  private again = 0; // timer
  private shownNote = "";

  constructor(private readonly page: Page, readonly camera: Camera) {
    this.row = { name: camera.name, spans: [] };
    this.element.className = "playback-tile";
    this.element.setAttribute("aria-label", camera.name);
    const head = document.createElement("h2");
    head.textContent = camera.name;
    this.stage.className = "playback-stage";
    this.note.className = "playback-note";
    this.note.setAttribute("role", "status");
    this.marks.className = "live-marks";
    this.marks.setAttribute("aria-hidden", "true");
    this.retry.type = "button";
    this.retry.className = "button quiet playback-retry";
    this.retry.textContent = fill(page.words, "retry");
    this.retry.hidden = true;
    this.retry.addEventListener("click", () => {
      if (this.missing === "second_person_missing") this.ask();
      else {
        this.page.resume();
        this.open();
      }
    });
    this.element.append(head, this.stage);
  }

  /** Shown, once what is needed for it is there. */
  begin(): void {
    if (this.page.giving.second) this.ask();
    else this.open();
  }

  /** Another person of the party is asked for a word on exactly this view; then it opens. */
  private ask(): void {
    this.film?.close();
    this.film = null;
    this.asking?.stop();
    this.retry.hidden = true;
    this.over = true; // nobody waits for its pictures
    this.stage.replaceChildren(this.marks, this.note, this.retry);
    this.asking = new SecondPerson(this.request, this.page.words, (text) => this.say(text), (confirmation) => {
      this.asking = null;
      if (!confirmation) this.offer("second_person_missing");
      else {
        this.page.resume();
        this.open(confirmation);
      }
    });
  }

  /** The button beside what is said: to try again, or to ask a second person first. */
  private offer(missing: string): void {
    this.missing = missing;
    const second = missing === "second_person_missing";
    this.retry.textContent = fill(this.page.words, second ? "ask_second" : "retry");
    this.retry.hidden = false;
  }

  private get request(): Record<string, unknown> {
    const { page } = this;
    return {
      camera: this.camera.id, action: page.giving.unmask ? "unmask" : "view_recording", ...page.giving.given,
      since: iso(page.since), until: iso(page.until),
    };
  }

  private open(confirmation: string | null = null): void {
    const { page } = this;
    window.clearTimeout(this.again);
    this.film?.close();
    this.over = false;
    this.missing = "";
    this.retry.hidden = true;
    const film = new Film(
      { ...this.request, confirmation },
      page.language,
      {
        opened: (opened) => {
          this.mark(opened.watermark ?? "");
          if (!page.playing) film.pause();
          if (page.speed !== 1) film.play(page.speed, page.at, false);
          film.seek(page.at);
        },
        ended: () => undefined,
        missing: () => page.tick(),
        over: (how, problem) => this.end(how, problem),
        unsupported: (codec) => this.say(fill(page.words, "unsupported", { codec })),
        stepped: (at) => page.stepped(this, at),
      },
    );
    this.film = film;
    film.video.className = "playback-video is-blank";
    film.video.addEventListener("loadeddata", () => film.video.classList.remove("is-blank"));
    this.stage.replaceChildren(film.video, this.marks, this.note, this.retry);
    this.say(fill(page.words, "connecting"));
  }

  close(): void {
    window.clearTimeout(this.again);
    this.asking?.stop();
    this.film?.close();
    this.film = null;
    this.element.remove();
  }

  /** Waits for pictures that are on their way. */
  get waiting(): boolean {
    const { film, page } = this;
    if (this.over || !film) return false;
    if (!film.opened) return true;
    return !film.has(page.at) && !film.missingAt(page.at) && !film.complete;
  }

  /** Where there are no pictures: until when; null where there are, or that is not known yet. */
  get gapUntil(): number | null {
    const { film, page } = this;
    if (this.over || !film?.opened) return this.over ? Infinity : null;
    if (film.has(page.at)) return null;
    const missing = film.missingAt(page.at);
    return missing ? missing.end : film.complete ? Infinity : null;
  }

  /** The element follows the page's clock. */
  follow(): void {
    const { film, page } = this;
    if (!film?.opened || this.over) return;
    const { video } = film;
    const at = film.place(page.at);
    const missing = film.has(page.at) ? undefined : film.missingAt(page.at);
    const away = missing !== undefined || (film.complete && !film.has(page.at));
    video.classList.toggle("is-blank", away || video.readyState < 2);
    if (missing) this.say(page.tellSpan(missing));
    else if (away) this.say(fill(page.words, "ended"));
    else this.say(this.waiting ? fill(page.words, "buffering") : "");
    if (!film.has(page.at)) {
      if (!video.paused) video.pause();
      return;
    }
    const run = page.playing && !page.held;
    const drift = video.currentTime - at;
    if (!run) {
      if (!video.paused) video.pause();
      // Never behind, not even a little: the frame that begins at this moment would not be the one that is shown.
      if ((drift < 0 || drift > 0.015) && !video.seeking) video.currentTime = at + 0.001;
      return;
    }
    if (Math.abs(drift) > 0.3 * Math.max(1, page.speed) && !video.seeking) video.currentTime = at;
    // A little faster or slower where it drifts, so that all cameras show one moment.
    const rate = Math.min(16, Math.max(0.0625, page.speed * (1 - Math.max(-0.1, Math.min(0.1, drift)))));
    if (Math.abs(video.playbackRate - rate) > 0.01) video.playbackRate = rate;
    if (video.paused) video.play().catch(() => undefined);
  }

  private end(how: "cut" | "refused" | "lost", problem: Problem | null): void {
    this.over = true;
    this.marks.replaceChildren();
    this.say(fill(this.page.words, how, { why: problem?.detail ?? "" }));
    this.page.preview.forget(this.film);
    const passing = problem !== null && isPassing(problem);
    if (how !== "refused" || passing || problem?.code === "second_person_missing") this.offer(problem?.code ?? "");
    const played = this.page.playing;
    this.page.tick();
    if (!passing) return;
    this.again = window.setTimeout(() => {
      if (played) this.page.resume();
      this.open();
    }, AGAIN_AFTER);
  }

  private say(text: string): void {
    if (text === this.shownNote) return;
    this.shownNote = text;
    this.note.textContent = text;
    this.note.hidden = text === "";
  }

  private mark(text: string): void {
    this.marks.replaceChildren();
    if (!text) return;
    for (let index = 0; index < 6; index++) {
      const mark = document.createElement("span");
      mark.dataset.text = text; // drawn by the style sheet: a deterrent, not a text to be read
      this.marks.append(mark);
    }
  }
}

class Page {
  readonly words: Words;
  readonly language = document.documentElement.lang || "nl";
  readonly clock = new Clock(this.language);
  readonly timeline: Timeline;
  giving: Giving = {
    given: { purpose: "", case: "", reason: "", emergency: false }, unmask: false, second: false, told: "",
  };
  readonly preview: Preview;
  since = 0;
  until = 0;
  at = 0;
  speed = 1;
  playing = true;
  held = false;
  private screens: Screen[] = [];
  private moved = performance.now();
  private told = 0;
  private fetching = 0;
  private asked = 0; // number of the last stretch that was asked for
  private fetched: [number, number] = [0, 0];
  private readonly keysFrom: number;
  private readonly most: number;
  private readonly fields: Fields;
  private readonly there = stay(); // at a work station, if this browser is one

  constructor(private readonly root: HTMLElement) {
    this.words = JSON.parse(root.dataset.words ?? "{}") as Words;
    this.keysFrom = Number(root.dataset.keysFrom);
    this.most = Number(root.dataset.most);
    const canvas = this.find<HTMLCanvasElement>("timeline");
    this.timeline = new Timeline(canvas, this.clock, {
      seek: (us) => this.seek(us),
      shown: (from, to) => this.look(from, to),
      describe: (us) => this.describe(us),
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.preview = new Preview(this.timeline, this.clock, (row) => this.screens[row]?.film ?? null);
    const form = this.find<HTMLFormElement>("ask");
    this.fields = new Fields(form, this.words);
    const start = civil((Date.now() - 15 * 60_000) * 1000);
    field(form, "date").max = civil(Date.now() * 1000).date;
    // Whoever was faster than this script has filled them in.
    field(form, "date").value ||= start.date;
    field(form, "time").value ||= start.time.slice(0, 5);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.there.then(() => this.begin(form));
    });
    for (const name of ["date", "time"]) field(form, name).addEventListener("change", () => this.twice(form));
    this.twice(form);
    this.find("again").addEventListener("click", () => this.leave());
    for (const button of root.querySelectorAll<HTMLButtonElement>("[data-do]")) {
      button.addEventListener("click", () => this.act(button.dataset.do ?? ""));
    }
    const speed = this.find<HTMLSelectElement>("speed");
    speed.addEventListener("change", () => this.accelerate(Number(speed.value)));
    for (const link of root.querySelectorAll<HTMLAnchorElement>("[data-export], [data-remote]")) {
      link.addEventListener("click", (event) => this.carry(event));
    }
    this.legend();
    window.setInterval(() => this.tick(), 50);
    window.setInterval(() => this.report(), 1000);
    window.addEventListener("pagehide", () => this.leave());
  }

  /** One step of the page's clock. */
  tick(): void {
    const now = performance.now();
    const passed = (now - this.moved) * 1000;
    this.moved = now;
    if (!this.screens.length) return;
    this.held = this.screens.some((screen) => screen.waiting);
    if (this.playing && !this.held) {
      this.at = Math.min(this.until, this.at + passed * this.speed);
      // Where no camera has pictures there is nothing to wait for.
      const gaps = this.screens.map((screen) => screen.gapUntil);
      if (gaps.every((until) => until !== null)) {
        const next = Math.min(...(gaps as number[]));
        if (next < this.until) this.jump(next);
        else if (this.at >= this.until || gaps.every((until) => until === Infinity)) this.stand();
      }
      if (this.at >= this.until) this.stand();
    }
    for (const screen of this.screens) screen.follow();
    this.timeline.at = this.at;
    this.timeline.draw();
    const second = Math.floor(this.at / SECOND);
    if (second !== this.told) {
      this.told = second;
      this.find("clock").textContent = this.clock.tell(this.at);
    }
  }

  /** Pictures come where there was nothing to show: the clock, which stood for that, goes on. */
  resume(): void {
    if (!this.screens.every((screen) => screen.over)) return;
    this.playing = true;
    this.button();
  }

  stepped(screen: Screen, at: number | null): void {
    if (at === null) return;
    this.at = at;
    for (const other of this.screens) {
      if (other !== screen && !other.film?.has(at)) other.film?.seek(at);
    }
    this.tick();
  }

  tellSpan(span: Span): string {
    if (span.reason === "future") return fill(this.words, "in_future");
    const state = fill(this.words, `state_${span.state}`);
    const until = this.clock.tell(span.end);
    const why = span.reason && this.words[`reason_${span.reason}`];
    return why ? fill(this.words, "missing_why", { state, until, why }) : fill(this.words, "missing", { state, until });
  }

  /** A line of the list: which camera, from when to when, and why nothing can be shown. */
  private tellMissed(camera: string, span: Span): string {
    const why = span.reason ? this.words[`reason_${span.reason}`] : undefined;
    const future = span.reason === "future" ? why : undefined;
    const state = future ?? fill(this.words, `state_${span.state}`);
    return fill(this.words, why && !future ? "missed_why" : "missed", {
      camera, state, why: why ?? "", since: this.clock.tell(span.start), until: this.clock.tell(span.end),
    });
  }

  private begin(form: HTMLFormElement): void {
    if (form.hidden) return; // sent twice, while it was shown that this is a work station
    const cameras = [...form.querySelectorAll<HTMLInputElement>("[name=camera]:checked")];
    const found = instants(field(form, "date").value, field(form, "time").value);
    const which = form.querySelector<HTMLSelectElement>("[name=which]")!;
    const start = found.length > 1 ? found[Number(which.value)] : found[0];
    const error =
      !cameras.length ? fill(this.words, "choose_camera")
      : cameras.length > this.most ? fill(this.words, "too_many", { most: this.most })
      : start === undefined ? fill(this.words, "no_such_time")
      : start > Date.now() * 1000 ? fill(this.words, "in_future")
      : "";
    const giving = this.fields.read();
    if (error) this.fields.say(error);
    if (error || !giving || start === undefined) return;
    this.giving = giving;
    this.since = this.at = start;
    this.until = start + Number(field(form, "length").value) * SECOND;
    this.find("asked").textContent =
      `${giving.told} · ${this.clock.tell(this.since)} – ${this.clock.tell(this.until)}`;
    form.hidden = true;
    this.find("screen").hidden = false;
    this.playing = true;
    this.button();
    this.screens = cameras.map((input) => new Screen(this, { id: input.value, name: input.dataset.name ?? "" }));
    const tiles = this.find("tiles");
    tiles.dataset.count = String(this.screens.length);
    tiles.replaceChildren(...this.screens.map((screen) => screen.element));
    this.timeline.rows = this.screens.map((screen) => screen.row);
    this.timeline.playable = [this.since, this.until];
    const margin = (this.until - this.since) * 0.15;
    this.fetched = [0, 0];
    this.timeline.show(this.since - margin, this.until + margin);
    for (const screen of this.screens) screen.begin();
    this.timeline.canvas.focus();
  }

  private leave(): void {
    this.preview.hide();
    window.clearTimeout(this.fetching);
    this.asked++; // what is on its way is of these
    for (const screen of this.screens) screen.close();
    this.screens = [];
    this.find("screen").hidden = true;
    this.find("ask").hidden = false;
  }

  /** On to the form of exports, with what is shown: which cameras and when in the address, the words beside it. On to
   *  that of asks with the part of it to which the timeline is zoomed, and the cameras of which something is elsewhere. */
  private carry(event: Event): void {
    const link = event.currentTarget as HTMLAnchorElement;
    const remote = link.hasAttribute("data-remote");
    const since = remote ? Math.max(this.since, this.timeline.from) : this.since;
    const until = remote ? Math.min(this.until, this.timeline.to) : this.until;
    const query = new URLSearchParams({ since: iso(since), until: iso(Math.min(until, Date.now() * 1000)) });
    for (const screen of this.screens) {
      if (!remote || this.elsewhere(screen)) query.append("camera", screen.camera.id);
    }
    link.href = `${link.pathname}?${query.toString()}`;
    window.sessionStorage.setItem(CARRIED, JSON.stringify(this.giving.given));
  }

  /** Whether something of what is shown is kept elsewhere and was not asked. */
  private elsewhere(screen: Screen): boolean {
    return screen.row.spans.some(
      (span) => span.state === "remote_not_asked" && span.end > this.since && span.start < this.until,
    );
  }

  private twice(form: HTMLFormElement): void {
    const found = instants(field(form, "date").value, field(form, "time").value);
    const box = this.find("twice");
    box.hidden = found.length < 2;
    const which = form.querySelector<HTMLSelectElement>("[name=which]")!;
    which.replaceChildren(
      new Option(fill(this.words, "first_time"), "0"),
      new Option(fill(this.words, "second_time"), "1"),
    );
  }

  private act(what: string): void {
    if (what === "play") this.playing ? this.stand() : this.go();
    else if (what === "back") this.step(-1);
    else if (what === "forward") this.step(1);
    else this.timeline.zoom(what === "in" ? 0.5 : 2);
  }

  private key(event: KeyboardEvent): void {
    const by = (event.shiftKey ? 60 : 10) * SECOND;
    const acts: Record<string, () => void> = {
      ArrowLeft: () => this.seek(this.at - by),
      ArrowRight: () => this.seek(this.at + by),
      Home: () => this.seek(this.since),
      End: () => this.seek(this.until - SECOND),
      "+": () => this.timeline.zoom(0.5),
      "=": () => this.timeline.zoom(0.5),
      "-": () => this.timeline.zoom(2),
      " ": () => this.act("play"),
      ",": () => this.step(-1),
      ".": () => this.step(1),
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) this.preview.show(this.at, 0);
  }

  private seek(us: number): void {
    this.at = Math.min(this.until, Math.max(this.since, us));
    for (const screen of this.screens) screen.film?.seek(this.at);
    this.tick();
  }

  /** On to where there are pictures again. What was sent from there on is there already. */
  private jump(us: number): void {
    this.at = us;
    for (const screen of this.screens) if (!screen.film?.has(us)) screen.film?.seek(us);
  }

  private step(by: 1 | -1): void {
    this.stand();
    const screen = this.screens.find((each) => each.film?.opened && !each.over);
    const film = screen?.film;
    if (!film) return;
    film.step(by, film.has(this.at) ? film.taken(film.video.currentTime) : this.at);
  }

  private stand(): void {
    if (this.playing) for (const screen of this.screens) screen.film?.pause();
    this.playing = false;
    this.button();
  }

  private go(): void {
    this.playing = true;
    if (this.at >= this.until) this.at = this.since;
    for (const screen of this.screens) screen.film?.play(this.speed, this.at, true);
    this.button();
  }

  private accelerate(speed: number): void {
    const anew = speed >= this.keysFrom !== this.speed >= this.keysFrom;
    this.speed = speed;
    for (const screen of this.screens) {
      screen.film?.play(speed, this.at, anew);
      if (!this.playing) screen.film?.pause();
    }
  }

  private button(): void {
    this.root.querySelector("[data-do=play]")!.textContent = fill(this.words, this.playing ? "pause" : "play");
  }

  private report(): void {
    if (this.playing) for (const screen of this.screens) if (screen.film?.opened) screen.film.here(this.at);
  }

  /** What there is in the stretch shown is fetched, with some to both sides, when it is not there yet. */
  private look(from: number, to: number): void {
    if (from >= this.fetched[0] && to <= this.fetched[1] && to - from > (this.fetched[1] - this.fetched[0]) / 8) {
      this.tellMissing();
      return;
    }
    window.clearTimeout(this.fetching);
    this.fetching = window.setTimeout(() => void this.fetch(from, to), 150);
  }

  private async fetch(from: number, to: number): Promise<void> {
    const number = ++this.asked;
    const margin = (to - from) / 2;
    const [since, until] = [from - margin, to + margin];
    const { given, unmask } = this.giving;
    const query = new URLSearchParams({
      since: iso(since), until: iso(until), ...given,
      emergency: String(given.emergency), action: unmask ? "unmask" : "view_recording",
    });
    for (const screen of this.screens) query.append("camera", screen.camera.id);
    const response = await fetch(`/api/video/timelines?${query}`, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const answer = (await response.json()) as Answer;
    if (number !== this.asked) return; // overtaken: of another stretch, or of cameras that were shown before
    for (const screen of this.screens) {
      const told = answer.cameras[screen.camera.id];
      screen.row.spans = told?.spans ?? [];
      if (told?.parts) screen.row.parts = told.parts;
      else delete screen.row.parts;
    }
    this.fetched = [since, until];
    this.timeline.draw();
    this.tellMissing();
    const link = this.root.querySelector<HTMLElement>("[data-remote]");
    if (link) link.hidden = !this.screens.some((screen) => this.elsewhere(screen));
  }

  private tellMissing(): void {
    const list = this.find("missing");
    const found: HTMLLIElement[] = [];
    for (const screen of this.screens) {
      for (const span of screen.row.spans) {
        if (span.state === "recorded" || span.end <= this.timeline.from || span.start >= this.timeline.to) continue;
        if (found.length >= 50) break;
        const item = document.createElement("li");
        item.textContent = this.tellMissed(screen.camera.name, span);
        found.push(item);
      }
    }
    if (!found.length) {
      const item = document.createElement("li");
      item.textContent = fill(this.words, "no_gaps");
      found.push(item);
    }
    list.replaceChildren(...found);
  }

  private describe(us: number): string {
    const states = this.screens.map((screen) => {
      const span = spanAt(screen.row, us);
      return `${screen.camera.name}: ${fill(this.words, `state_${span?.state ?? "unknown"}`)}`;
    });
    return fill(this.words, "at", { time: this.clock.tell(us), state: states.join("; ") });
  }

  private legend(): void {
    const list = this.find("legend");
    for (const state of STATES) {
      const swatch = document.createElement("canvas");
      swatch.width = 28;
      swatch.height = 16;
      const pen = swatch.getContext("2d");
      if (pen) {
        pen.fillStyle = this.timeline.fill(pen, state);
        pen.fillRect(0, 0, 28, 16);
      }
      const item = document.createElement("li");
      item.append(swatch, fill(this.words, `state_${state}`));
      list.append(item);
    }
  }

  private find<T extends HTMLElement = HTMLElement>(name: string): T {
    return this.root.querySelector<T>(`[data-${name}]`)!;
  }
}

function field(form: HTMLFormElement, name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}

function iso(us: number): string {
  return new Date(us / 1000).toISOString();
}

export function mount(root: HTMLElement): void {
  new Page(root);
}

