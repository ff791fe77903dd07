// The small picture over the timeline: what a camera saw at the moment under the pointer, or where the keyboard went.
import type { Clock } from "./civil";
import type { Film } from "./film";
import { spanAt, type Timeline } from "./timeline";

const SECOND = 1e6;
const REST = 140; // milliseconds of rest before a picture is fetched
const KEPT = 4_000; // and how long one stands that the keyboard asked for
const WIDTH = 176;

export class Preview {
  private readonly box = document.createElement("div");
  private readonly image = document.createElement("img");
  private readonly time = document.createElement("p");
  private timer = 0;
  private film: Film | null = null;

  /** `film` gives what shows the row, or null. */
  constructor(
    private readonly timeline: Timeline,
    private readonly clock: Clock,
    private readonly filmOf: (row: number) => Film | null,
  ) {
    const { canvas } = timeline;
    this.box.className = "playback-preview";
    this.box.hidden = true;
    this.box.setAttribute("aria-hidden", "true"); // the slider's own text says where it is
    this.image.alt = "";
    this.image.addEventListener("load", () => this.image.classList.remove("is-blank"));
    this.image.addEventListener("error", () => this.blank());
    const frame = document.createElement("div");
    frame.append(this.image);
    this.box.append(frame, this.time);
    canvas.parentElement?.append(this.box);
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.hide();
      else this.show(timeline.moment(event.offsetX), timeline.rowAt(event.offsetY));
    });
    canvas.addEventListener("pointerleave", () => this.hide());
    canvas.addEventListener("blur", () => this.hide());
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
    });
  }

  /** The moment in that row, where it has a picture. From the keyboard it goes by itself. */
  show(us: number, row: number): void {
    window.clearTimeout(this.timer);
    const span = row < 0 ? undefined : spanAt(this.timeline.rows[row]!, us);
    const film = row < 0 ? null : this.filmOf(row);
    if (!film || !span || (span.state !== "recorded" && span.state !== "held")) {
      this.hide();
      return;
    }
    if (film !== this.film) this.blank();
    this.film = film;
    const width = this.timeline.canvas.clientWidth;
    const left = Math.min(Math.max(0, this.timeline.place(us) - WIDTH / 2), Math.max(0, width - WIDTH));
    this.box.style.setProperty("left", `${left}px`);
    this.time.textContent = this.clock.tell(us);
    this.box.hidden = false;
    this.timer = window.setTimeout(() => {
      // Whole seconds, so that a little to the side is the same picture; never before what is recorded.
      const address = film.thumbnail(Math.max(Math.floor(us / SECOND) * SECOND, span.start + 1000)) ?? film.thumbnail(us);
      if (address && this.film === film) this.image.src = address;
      this.timer = window.setTimeout(() => {
        if (!this.timeline.canvas.matches(":hover")) this.hide();
      }, KEPT);
    }, REST);
  }

  hide(): void {
    window.clearTimeout(this.timer);
    this.film = null;
    this.box.hidden = true;
    this.blank();
  }

  /** Nothing of this view is on the screen any more. */
  forget(film: Film | null): void {
    if (film && film === this.film) this.hide();
  }

  private blank(): void {
    this.image.classList.add("is-blank");
    this.image.removeAttribute("src");
  }
}
