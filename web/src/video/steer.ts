// Steering one camera from its tile: asks for a turn, and while it has it turns for as long as a button or a key is held.
import { SecondPerson, type Given } from "./giving";
import { Places, type Preset } from "./places";
import { fill, type Words } from "./words";

type Problem = { code: string; title: string; detail: string };
type Told = {
  opened?: { view: string };
  problem?: Problem;
  cut?: Problem;
  turn?: "waits" | "holds";
  waiting?: number;
  place?: number;
  holder?: { party: string; person: string } | null;
  camera?: string;
  can?: { pan_tilt: boolean; zoom: boolean; presets: Preset[]; most_presets: number };
  keeps?: boolean;
  presets?: Preset[];
  refused?: Problem;
  position?: { pan: number | null; tilt: number | null; zoom: number | null };
};
type Way = readonly [number, number, number];

const AGAIN = 200; // milliseconds: the camera stands still when nothing was said for 750
const WAYS: Record<string, Way> = {
  left: [-1, 0, 0], right: [1, 0, 0], up: [0, 1, 0], down: [0, -1, 0], in: [0, 0, 1], out: [0, 0, -1],
};
const KEYS: Record<string, string> = {
  ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", "+": "in", "=": "in", "-": "out", "−": "out",
};
const SIGNS: Record<string, string> = { left: "←", right: "→", up: "↑", down: "↓", in: "+", out: "−" };
const SPEEDS = { slow: 0.2, normal: 0.5, fast: 1 };

export class Steer {
  readonly element = document.createElement("section");
  private readonly status = document.createElement("p");
  private readonly where = document.createElement("p");
  private readonly places = document.createElement("select");
  private readonly speed = document.createElement("select");
  private readonly kept: Places;
  private readonly buttons = new Map<string, HTMLButtonElement>();
  private readonly held = new Set<string>();
  private socket: WebSocket | null = null;
  private asking: SecondPerson | null = null;
  private timer = 0;
  private holds = false;
  private ready = false;
  private can = { pan_tilt: false, zoom: false };
  private seen = true; // there is a picture to steer by
  private turn = "";
  private readonly still = (): void => this.stop();
  private readonly away = (): void => {
    if (document.hidden) this.stop();
  };

  constructor(
    camera: string,
    given: Given,
    private readonly words: Words,
    second: boolean,
    private readonly ended: () => void,
  ) {
    this.element.className = "steer";
    this.element.setAttribute("aria-label", fill(words, "steer_panel"));
    this.status.className = "steer-status";
    this.status.setAttribute("role", "status");
    this.where.className = "steer-where";
    this.kept = new Places(words, (said) => this.send(said));
    this.build();
    this.show();
    window.addEventListener("blur", this.still);
    document.addEventListener("visibilitychange", this.away);
    const request = { camera, action: "steer", ...given };
    if (!second) this.connect(request);
    else {
      this.asking = new SecondPerson(request, words, (text) => this.say(text), (confirmation) => {
        if (confirmation) this.connect({ ...request, confirmation });
      });
    }
  }

  /** The camera is let go, for good. */
  close(): void {
    this.stop();
    this.asking?.stop();
    window.removeEventListener("blur", this.still);
    document.removeEventListener("visibilitychange", this.away);
    if (this.socket) this.socket.onmessage = this.socket.onclose = null;
    this.socket?.close();
    this.socket = null;
    this.element.remove();
  }

  /** Whether there is a picture: nobody turns a camera blindly. */
  see(picture: boolean): void {
    this.seen = picture;
    if (!picture) this.stop();
    this.show();
  }

  /** Whether the key was for the camera. */
  key(event: KeyboardEvent, down: boolean): boolean {
    const way = KEYS[event.key];
    if (way) {
      if (down && !event.repeat) this.hold(way);
      else if (!down) this.release(way);
      return true;
    }
    if (event.key === "Escape" && down) {
      this.ended();
      return true;
    }
    return false;
  }

  private build(): void {
    const pad = document.createElement("div");
    pad.className = "steer-pad";
    pad.setAttribute("role", "group");
    pad.setAttribute("aria-label", fill(this.words, "steer"));
    for (const way of Object.keys(WAYS)) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = `button quiet steer-${way}`;
      button.textContent = SIGNS[way]!;
      button.title = fill(this.words, `steer_${way}`);
      button.setAttribute("aria-label", fill(this.words, `steer_${way}`));
      button.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        button.setPointerCapture(event.pointerId);
        this.hold(way);
      });
      for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
        button.addEventListener(name, () => this.release(way));
      }
      button.addEventListener("keydown", (event) => {
        if ((event.key === " " || event.key === "Enter") && !event.repeat) this.hold(way);
      });
      button.addEventListener("keyup", (event) => {
        if (event.key === " " || event.key === "Enter") this.release(way);
      });
      button.addEventListener("blur", () => this.release(way));
      this.buttons.set(way, button);
      pad.append(button);
    }
    this.speed.className = this.places.className = "input";
    for (const name of Object.keys(SPEEDS)) {
      this.speed.append(new Option(fill(this.words, `steer_${name}`), name, name === "normal", name === "normal"));
    }
    this.places.addEventListener("change", () => {
      if (this.places.value) this.send({ preset: this.places.value });
      this.places.value = "";
    });
    const end = document.createElement("button");
    end.type = "button";
    end.className = "button quiet steer-end";
    end.textContent = fill(this.words, "steer_end");
    end.addEventListener("click", () => this.ended());
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.textContent = fill(this.words, "steer_keys");
    const fields = document.createElement("div");
    fields.className = "steer-fields";
    fields.append(this.labelled("steer_speed", this.speed), this.labelled("steer_presets", this.places), end);
    const said = document.createElement("div");
    said.className = "steer-said";
    said.append(this.status, this.where, hint);
    this.element.append(pad, fields, said, this.kept.element);
    // Whichever of its buttons was pressed last, the keys are the camera's.
    for (const [name, down] of [["keydown", true], ["keyup", false]] as const) {
      this.element.addEventListener(name, (event) => {
        const typed = event.target instanceof HTMLSelectElement || event.target instanceof HTMLInputElement;
        if (typed || !this.key(event, down)) return;
        event.preventDefault();
        event.stopPropagation();
      });
    }
  }

  private labelled(name: string, field: HTMLElement): HTMLElement {
    const label = document.createElement("label");
    label.append(fill(this.words, name), field);
    return label;
  }

  private connect(request: Record<string, unknown>): void {
    this.say(fill(this.words, "steer_asking"));
    const address = new URL("/video/steer", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("lang", document.documentElement.lang);
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(request));
    socket.onmessage = ({ data }) => this.hear(JSON.parse(String(data)) as Told);
    socket.onclose = () => this.over(fill(this.words, "steer_lost"));
  }

  private hear(told: Told): void {
    const why = told.problem ?? told.cut;
    if (why) {
      this.over(fill(this.words, told.problem ? "steer_refused" : "steer_ended", { why: why.detail || why.title }));
      return;
    }
    if (told.turn) {
      this.holds = told.turn === "holds";
      const party = told.holder?.party ?? "", person = told.holder?.person ?? "";
      const who = person ? fill(this.words, "steer_person", { person, party }) : party;
      this.turn = this.holds
        ? fill(this.words, told.waiting ? "steer_wanted" : "steer_holds")
        : fill(this.words, who ? "steer_waits" : "steer_waits_free", { who, place: told.place ?? 1 });
      if (!this.holds || this.ready) this.say(this.turn);
    }
    if (told.can) {
      this.can = told.can;
      this.kept.begin(told.keeps === true, told.can.most_presets);
    }
    const presets = told.can?.presets ?? told.presets;
    if (presets) {
      this.places.replaceChildren(new Option(fill(this.words, "steer_choose"), ""));
      for (const each of presets) this.places.append(new Option(each.name, each.token));
      this.kept.show(presets);
    }
    if (told.refused) this.kept.refuse(told.refused.detail || told.refused.title);
    if (told.camera) {
      this.ready ||= told.camera === "ready";
      const reason = told.camera === "slow" ? "slow_answer" : told.camera;
      this.say(told.camera === "ready" ? this.turn : fill(this.words, `steer_${reason}`));
    }
    if (told.position) {
      const { pan, tilt, zoom } = told.position;
      const number = (value: number | null, factor: number): string =>
        value === null ? "–" : Math.round(value * factor).toLocaleString(document.documentElement.lang);
      this.where.textContent = fill(this.words, "steer_position", {
        pan: number(pan, 100), tilt: number(tilt, 100), zoom: number(zoom, 100),
      });
    }
    this.show();
  }

  private over(text: string): void {
    this.stop();
    this.holds = this.ready = false;
    if (this.socket) this.socket.onmessage = this.socket.onclose = null;
    this.socket?.close();
    this.socket = null;
    this.say(text);
    this.show();
  }

  private say(text: string): void {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  private show(): void {
    const able = this.holds && this.ready && this.seen;
    for (const [way, button] of this.buttons) {
      button.disabled = !able || !(way === "in" || way === "out" ? this.can.zoom : this.can.pan_tilt);
    }
    this.places.disabled = !able || this.places.options.length < 2;
    this.kept.enable(able);
    this.element.dataset.state = !this.socket && !this.asking ? "over" : able ? "holds" : "waits";
  }

  private hold(way: string): void {
    if (this.buttons.get(way)?.disabled !== false) return;
    this.held.add(way);
    this.buttons.get(way)?.classList.add("is-held");
    this.go();
  }

  private release(way: string): void {
    if (!this.held.delete(way)) return;
    this.buttons.get(way)?.classList.remove("is-held");
    this.go();
  }

  /** What is held is said, and again until it is let go. */
  private go(): void {
    window.clearInterval(this.timer);
    if (!this.held.size) {
      this.send({ stop: true });
      return;
    }
    const speed = SPEEDS[this.speed.value as keyof typeof SPEEDS] ?? SPEEDS.normal;
    const sum = [0, 0, 0];
    for (const way of this.held) WAYS[way]!.forEach((value, index) => (sum[index]! += value * speed));
    const say = (): void => this.send({ move: sum });
    say();
    this.timer = window.setInterval(say, AGAIN);
  }

  private stop(): void {
    window.clearInterval(this.timer);
    for (const way of this.held) this.buttons.get(way)?.classList.remove("is-held");
    if (this.held.size) this.send({ stop: true });
    this.held.clear();
  }

  private send(said: Record<string, unknown>): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(said));
  }
}
