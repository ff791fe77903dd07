// The places of a camera that is steered, for who keeps them: saved where it looks, saved anew, removed.
import { fill, type Words } from "./words";

export type Preset = { token: string; name: string };
type Said = { save: { name: string; token: string } } | { remove: string };

const MOST = 64; // what is shown of a camera's places

export class Places {
  readonly element = document.createElement("details");
  private readonly form = document.createElement("form");
  private readonly which = document.createElement("select");
  private readonly name = document.createElement("input");
  private readonly save = document.createElement("button");
  private readonly remove = document.createElement("button");
  private readonly count = document.createElement("p");
  private readonly status = document.createElement("p");
  private presets: Preset[] = [];
  private most = 0;
  private able = false;
  private asked = ""; // what is said when the camera did it

  constructor(
    private readonly words: Words,
    private readonly send: (said: Said) => void,
  ) {
    this.element.className = "steer-places";
    this.element.hidden = true;
    const summary = document.createElement("summary");
    summary.textContent = fill(words, "steer_keep");
    this.which.className = this.name.className = "input";
    this.which.dataset.which = "";
    this.name.maxLength = 64;
    this.name.required = true;
    this.name.autocomplete = "off";
    this.save.className = "button quiet steer-save";
    this.save.textContent = fill(words, "steer_save");
    this.remove.type = "button";
    this.remove.className = "button quiet steer-remove";
    this.remove.textContent = fill(words, "steer_remove");
    this.status.className = "steer-kept";
    this.status.setAttribute("role", "status");
    this.count.className = "hint";
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.textContent = fill(words, "steer_keep_hint");
    this.which.addEventListener("change", () => {
      this.name.value = this.chosen()?.name ?? "";
      this.refresh();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.name.value.trim();
      if (this.save.disabled || !name) return;
      this.ask({ save: { name, token: this.which.value } }, fill(words, "steer_saved", { name }));
    });
    this.remove.addEventListener("click", () => {
      const chosen = this.chosen();
      if (chosen) this.ask({ remove: chosen.token }, fill(words, "steer_removed", { name: chosen.name }));
    });
    const buttons = document.createElement("p");
    buttons.className = "actions";
    buttons.append(this.save, this.remove);
    this.form.append(
      this.labelled("steer_which", this.which), this.labelled("steer_name", this.name), buttons, this.status, this.count, hint,
    );
    this.element.append(summary, this.form);
  }

  /** The camera answers; `keeps`: who steers it may change its places, of which it takes so many. */
  begin(keeps: boolean, most: number): void {
    this.most = Math.min(most, MOST);
    this.element.hidden = !keeps || this.most === 0;
  }

  /** These are its places now. */
  show(presets: Preset[]): void {
    this.presets = presets;
    this.which.replaceChildren(new Option(fill(this.words, "steer_new"), ""));
    for (const each of presets) this.which.append(new Option(each.name, each.token));
    this.count.textContent = fill(this.words, "steer_count", { count: presets.length, most: this.most });
    this.name.value = "";
    this.status.textContent = this.asked;
    this.asked = "";
    if (document.activeElement === this.remove) this.which.focus(); // nothing is chosen any more
    this.refresh();
  }

  refuse(why: string): void {
    this.asked = "";
    this.status.textContent = why;
    this.refresh();
  }

  enable(able: boolean): void {
    this.able = able;
    if (!able) this.asked = "";
    this.refresh();
  }

  // The buttons stay as they are meanwhile: one that is disabled loses the focus, and the keyboard its place.
  private ask(said: Said, done: string): void {
    if (this.asked) return;
    this.asked = done;
    this.status.textContent = fill(this.words, "steer_keeping");
    this.send(said);
  }

  private chosen(): Preset | undefined {
    return this.presets.find((each) => each.token === this.which.value);
  }

  private refresh(): void {
    const chosen = this.chosen();
    this.which.disabled = this.name.disabled = !this.able;
    this.save.disabled = !this.able || (!chosen && this.presets.length >= this.most);
    this.save.textContent = fill(this.words, chosen ? "steer_save_anew" : "steer_save");
    this.remove.disabled = !this.able || !chosen;
  }

  private labelled(name: string, field: HTMLElement): HTMLElement {
    const label = document.createElement("label");
    label.append(fill(this.words, name), field);
    return label;
  }
}
