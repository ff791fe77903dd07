// The wall: one to sixteen live tiles. Which cameras, and how many, stands in the address; for what they are watched is
// asked once and kept in this page alone.
import { Fields, type Giving } from "./giving";
import { Player } from "./player";
import { stay } from "./station";
import { Steer } from "./steer";
import { fill, type Words } from "./words";

type Camera = { id: string; code: string; name: string; owner: string; steers: boolean };

const SMALL = 640; // device pixels: a tile that is narrower gets the camera's small picture
const SIZES = [1, 4, 9, 16];

class Tile {
  readonly element = document.createElement("section");
  readonly select = document.createElement("select");
  private readonly stage = document.createElement("div");
  private readonly begin = document.createElement("button");
  private player: Player | null = null;
  private steer: Steer | null = null;
  camera: Camera | null = null;

  constructor(
    private readonly wall: Wall,
    readonly number: number,
  ) {
    const { words } = wall;
    this.element.className = "wall-tile";
    this.element.tabIndex = number === 1 ? 0 : -1;
    this.element.setAttribute("aria-label", fill(words, "tile", { number }));
    this.stage.className = "wall-stage";
    const head = document.createElement("div");
    head.className = "wall-head";
    this.select.className = "input";
    this.select.setAttribute("aria-label", fill(words, "camera", { number }));
    this.select.append(new Option(fill(words, "empty"), ""));
    for (const camera of wall.cameras) {
      this.select.append(new Option(camera.owner ? `${camera.name} · ${camera.owner}` : camera.name, camera.code));
    }
    this.select.addEventListener("change", () => this.wall.choose(this, this.select.value));
    const full = document.createElement("button");
    full.type = "button";
    full.className = "button quiet wall-full";
    full.append(corners());
    full.title = fill(words, "enlarge");
    full.setAttribute("aria-label", fill(words, "enlarge"));
    full.addEventListener("click", () => this.enlarge());
    this.begin.type = "button";
    this.begin.className = "button quiet steer-begin";
    this.begin.textContent = fill(words, "steer");
    this.begin.hidden = true;
    this.begin.addEventListener("click", () => (this.steer ? this.letGo() : this.take()));
    head.append(this.select, this.begin, full);
    if (wall.only) this.select.hidden = true;
    this.element.append(head, this.stage);
    this.say();
  }

  show(camera: Camera | null, asked: Giving | null): void {
    this.letGo();
    this.player?.close();
    this.player = null;
    this.camera = camera;
    this.begin.hidden = !camera?.steers || !this.wall.needs();
    this.select.value = camera?.code ?? "";
    this.element.classList.toggle("is-empty", camera === null);
    if (camera && asked) {
      this.player = new Player(
        this.stage,
        { camera: camera.id, action: "view_live", ...asked.given },
        this.wall.words,
        this.role(),
        asked.second,
        (player) => this.steer?.see(player.state === "live"),
      );
    } else {
      this.say();
    }
  }

  resized(): void {
    this.player?.use(this.role());
  }

  enlarge(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.element.requestFullscreen?.().catch(() => undefined);
  }

  close(): void {
    this.letGo();
    this.player?.close();
    this.element.remove();
  }

  /** Whether the key was for the camera that is steered here. */
  key(event: KeyboardEvent, down: boolean): boolean {
    return this.steer?.key(event, down) ?? false;
  }

  private take(): void {
    const { asked } = this.wall, needs = this.wall.needs();
    if (!this.camera || !asked || !needs) return;
    const second = needs.includes("second_person");
    this.steer = new Steer(this.camera.id, asked.given, this.wall.words, second, () => this.letGo());
    this.steer.see(this.player?.state === "live");
    this.begin.setAttribute("aria-pressed", "true");
    this.element.append(this.steer.element);
    this.element.focus();
  }

  private letGo(): void {
    this.steer?.close();
    this.steer = null;
    this.begin.setAttribute("aria-pressed", "false");
  }

  private say(): void {
    const note = document.createElement("p");
    note.className = "live-status";
    note.textContent = fill(this.wall.words, "empty");
    this.stage.replaceChildren(note);
  }

  private role(): "main" | "sub" {
    const width = this.stage.clientWidth * window.devicePixelRatio;
    return width > 0 && width < SMALL ? "sub" : "main";
  }
}

/** Four corners: the sign for filling the screen. */
function corners(): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(space, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", width: "16", height: "16", "aria-hidden": "true" })) {
    icon.setAttribute(name, value);
  }
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4");
  path.setAttribute("class", "corners");
  icon.append(path);
  return icon;
}

class Wall {
  readonly cameras: Camera[];
  readonly words: Words;
  readonly only: string | undefined;
  private readonly tilesBox: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly fields: Fields;
  private readonly there = stay(); // at a work station, if this browser is one
  private readonly screen: HTMLElement;
  private tiles: Tile[] = [];
  asked: Giving | null = null;
  private readonly steering: Record<string, string[]>;

  constructor(private readonly root: HTMLElement) {
    this.cameras = JSON.parse(root.dataset.cameras ?? "[]") as Camera[];
    this.words = JSON.parse(root.dataset.words ?? "{}") as Words;
    this.only = root.dataset.only;
    this.steering = JSON.parse(root.dataset.steering ?? "{}") as Record<string, string[]>;
    this.tilesBox = root.querySelector<HTMLElement>("[data-tiles]")!;
    this.form = root.querySelector<HTMLFormElement>("[data-ask]")!;
    this.screen = root.querySelector<HTMLElement>("[data-screen]")!;
    this.fields = new Fields(this.form, this.words);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.there.then(() => this.watch());
    });
    root.querySelector("[data-again]")?.addEventListener("click", () => this.ask());
    for (const button of root.querySelectorAll<HTMLElement>("[data-size]")) {
      button.addEventListener("click", () => this.resize(Number(button.dataset.size)));
    }
    this.tilesBox.addEventListener("keydown", (event) => this.key(event));
    this.tilesBox.addEventListener("keyup", (event) => this.tileOf(event)?.key(event, false));
    new ResizeObserver(() => this.tiles.forEach((tile) => tile.resized())).observe(this.tilesBox);
    window.addEventListener("pagehide", () => this.tiles.forEach((tile) => tile.show(tile.camera, null)));
  }

  choose(tile: Tile, code: string): void {
    tile.show(this.cameras.find((camera) => camera.code === code) ?? null, this.asked);
    this.remember();
  }

  /** What steering needs for the purpose that was given; nothing where that purpose does not give it. */
  needs(): string[] | undefined {
    return this.asked ? this.steering[this.asked.given.purpose] : undefined;
  }

  private tileOf(event: Event): Tile | undefined {
    return this.tiles.find((tile) => tile.element === event.target);
  }

  private watch(): void {
    const giving = this.fields.read();
    if (!giving) return;
    this.asked = giving;
    const asked = this.root.querySelector<HTMLElement>("[data-asked]");
    if (asked) asked.textContent = giving.told;
    this.form.hidden = true;
    this.screen.hidden = false;
    const address = new URL(location.href);
    const asks = Number(address.searchParams.get("tiles") ?? "4");
    const size = SIZES.includes(asks) ? asks : 4;
    // Without a choice the first cameras that the viewer may see; not where each view is an emergency or asks somebody.
    const alone = giving.second || giving.given.emergency;
    const wanted =
      address.searchParams.get("cameras")?.split(",")
      ?? (alone ? [] : this.cameras.slice(0, size).map((camera) => camera.code));
    if (this.only) this.build(1, [this.only]);
    else this.build(size, wanted);
    this.tiles[0]?.element.focus();
  }

  /** The purpose or the case is another one: what is watched under this one ends. */
  private ask(): void {
    this.asked = null;
    for (const tile of this.tiles) tile.show(tile.camera, null);
    this.form.hidden = false;
    this.screen.hidden = true;
    this.form.querySelector<HTMLElement>("select, input")?.focus();
  }

  private resize(size: number): void {
    const codes = this.tiles.map((tile) => tile.camera?.code ?? "");
    this.build(size, codes);
    this.remember();
  }

  private build(size: number, codes: string[]): void {
    // Tiles that stay go on: their views are not opened a second time.
    for (const tile of this.tiles.splice(size)) tile.close();
    this.tilesBox.style.setProperty("--across", String(Math.sqrt(size)));
    this.tilesBox.dataset.count = String(size);
    while (this.tiles.length < size) {
      const tile = new Tile(this, this.tiles.length + 1);
      this.tiles.push(tile);
      this.tilesBox.append(tile.element);
    }
    for (const [index, tile] of this.tiles.entries()) {
      const camera = this.cameras.find((each) => each.code === codes[index]) ?? null;
      if (camera?.code !== tile.camera?.code || (camera && !tile.element.querySelector("video"))) {
        tile.show(camera, this.asked);
      }
    }
    for (const button of this.root.querySelectorAll<HTMLElement>("[data-size]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.size) === size));
    }
  }

  private remember(): void {
    if (this.only) return;
    const address = new URL(location.href);
    address.searchParams.set("tiles", String(this.tiles.length));
    address.searchParams.set("cameras", this.tiles.map((tile) => tile.camera?.code ?? "").join(","));
    history.replaceState(null, "", address.href.replaceAll("%2C", ","));
  }

  private key(event: KeyboardEvent): void {
    const at = this.tiles.findIndex((tile) => tile.element === event.target);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.tiles[at]!.key(event, true)) {
      event.preventDefault();
      return;
    }
    const across = Math.sqrt(this.tiles.length);
    const moves: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
    const tile = this.tiles[at]!;
    if (event.key in moves) {
      const next = this.tiles[at + moves[event.key]!];
      if (next) {
        tile.element.tabIndex = -1;
        next.element.tabIndex = 0;
        next.element.focus();
      }
    } else if (event.key === "Enter" && !this.only) tile.select.focus();
    else if (event.key.toLowerCase() === "f") tile.enlarge();
    else if (event.key === "Delete" && !this.only) this.choose(tile, "");
    else if (!this.only && "1234".includes(event.key)) this.resize(SIZES[Number(event.key) - 1]!);
    else return;
    event.preventDefault();
  }
}

export function mount(root: HTMLElement): void {
  new Wall(root);
}
