// What a viewer gives before views are opened: purpose, case, reason, where needed an emergency or the wish to look
// without masks; and the word of a second person, asked for one view and waited for.
import { fill, type Words } from "./words";

/** What is given for all views of a page; the names are those of a ViewRequest. */
export type Given = { purpose: string; case: string; reason: string; emergency: boolean };
/** And what the page knows about it. */
export type Giving = { given: Given; unmask: boolean; second: boolean; told: string };

const NEEDS = ["case", "reason", "second_person", "work_station", "emergency"];
const POLL = 2_000;
/** Under which name the page of recordings leaves these words for the form of exports, in the session's storage. */
export const CARRIED = "koinon.export";

/** The fields of `rights/_ask.html` in a form. */
export class Fields {
  private readonly purpose: HTMLSelectElement;

  constructor(private readonly form: HTMLFormElement, private readonly words: Words) {
    this.purpose = form.querySelector<HTMLSelectElement>("[name=purpose]")!;
    this.purpose.addEventListener("change", () => this.update());
    for (const name of ["unmask", "emergency"]) this.box(name)?.addEventListener("change", () => this.update());
    this.update();
  }

  /** What is given; null where something is missing, which is said then. */
  read(): Giving | null {
    const needs = this.needs();
    const value = (name: string): string => this.box(name)?.value.trim() ?? "";
    const emergency = this.box("emergency")?.checked === true && this.emergencies();
    const given = { purpose: this.purpose.value, case: value("case"), reason: value("reason"), emergency };
    const missing =
      needs.has("emergency") && !emergency ? "emergency"
      : needs.has("case") && !given.case ? "case"
      : (needs.has("reason") || emergency) && !given.reason ? "reason"
      : "";
    this.say(missing && fill(this.words, `missing_${missing}`));
    if (missing) {
      this.box(missing)?.focus();
      return null;
    }
    const purpose = this.purpose.selectedOptions[0]?.text ?? "";
    const told = [
      ...(given.case ? [fill(this.words, "asked", { purpose, case: given.case })] : [purpose]),
      ...(!given.case && "no_case" in this.words ? [fill(this.words, "no_case")] : []),
      ...(this.unmask ? [fill(this.words, "unmasked")] : []),
      ...(emergency ? [fill(this.words, "emergency_declared")] : []),
    ].join(" · ");
    return { given, unmask: this.unmask, second: needs.has("second_person"), told };
  }

  say(text: string): void {
    const told = this.form.querySelector<HTMLElement>("[data-error]")!;
    told.textContent = text;
    told.hidden = !text;
  }

  private get unmask(): boolean {
    return this.box("unmask")?.checked === true;
  }

  /** Purposes that do not give what is wanted cannot be chosen; what the chosen one needs is said. */
  private update(): void {
    for (const option of this.purpose.options) option.disabled = option.hidden = this.told(option) === undefined;
    if (this.purpose.selectedOptions[0]?.disabled) {
      const first = [...this.purpose.options].find((option) => !option.disabled);
      if (first) this.purpose.value = first.value;
    }
    const needs = this.needs();
    const names = NEEDS.filter((name) => needs.has(name)).map((name) => fill(this.words, `need_${name}`));
    const list = new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(names);
    this.form.querySelector("[data-purpose-needs]")!.textContent =
      names.length ? fill(this.words, "needs", { needs: list }) : "";
    this.form.querySelector<HTMLElement>("[data-emergency]")!.hidden = !this.emergencies();
    this.mark("case", needs.has("case"));
    this.mark("reason", needs.has("reason") || (this.emergencies() && this.box("emergency")?.checked === true));
    this.say("");
  }

  /** The label says "optional" only of what the chosen purpose does not need. */
  private mark(name: string, needed: boolean): void {
    const field = this.box(name);
    const optional = field?.labels?.[0]?.querySelector<HTMLElement>(".optional");
    if (optional) optional.hidden = needed;
    field?.setAttribute("aria-required", String(needed));
  }

  private told(option: HTMLOptionElement | undefined): string | undefined {
    return this.unmask ? option?.dataset.unmask : option?.dataset.needs;
  }

  private needs(): Set<string> {
    return new Set((this.told(this.purpose.selectedOptions[0]) ?? "").split(" ").filter(Boolean));
  }

  /** Whether an emergency gives anything: for the chosen purpose. */
  private emergencies(): boolean {
    return this.needs().has("emergency");
  }

  private box(name: string): HTMLInputElement | null {
    return this.form.querySelector<HTMLInputElement>(`input[name=${name}]`);
  }
}

type Asked = { confirmation: string; state: string; expires_at: string };

/** The word of a second person for exactly this view: asked, waited for, told. */
export class SecondPerson {
  private timer = 0;
  private over = false;

  /** `say` tells how it stands; `given` is called once, with the confirmation or null. */
  constructor(
    private readonly request: Record<string, unknown>,
    private readonly words: Words,
    private readonly say: (text: string) => void,
    private readonly given: (confirmation: string | null) => void,
  ) {
    void this.ask();
  }

  stop(): void {
    this.over = true;
    window.clearTimeout(this.timer);
  }

  private async ask(): Promise<void> {
    const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
    const { confirmation: _, ...asked } = this.request;
    try {
      const answer = await fetch("/api/video/confirmations", {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": token },
        body: JSON.stringify(asked),
      });
      const told = (await answer.json()) as Asked & { detail?: string };
      if (answer.ok) this.hear(told);
      else this.end(null, "second_failed", told.detail);
    } catch (error) {
      this.end(null, "second_failed", String(error));
    }
  }

  private hear(told: Asked): void {
    if (this.over) return;
    if (told.state === "confirmed") this.end(told.confirmation);
    else if (told.state === "declined") this.end(null, "second_declined");
    else if (told.state !== "waiting") this.end(null, "second_expired");
    else {
      const until = new Date(told.expires_at).toLocaleTimeString(document.documentElement.lang, {
        hour: "2-digit", minute: "2-digit", timeZone: "Europe/Brussels",
      });
      this.say(fill(this.words, "second_waits", { until }));
      this.timer = window.setTimeout(() => void this.look(told), POLL);
    }
  }

  private async look(known: Asked): Promise<void> {
    try {
      const answer = await fetch(`/api/video/confirmations/${known.confirmation}`, {
        headers: { Accept: "application/json" },
      });
      if (answer.status < 500) {
        const told = (await answer.json()) as Asked & { detail?: string };
        if (answer.ok) this.hear(told);
        else this.end(null, "second_failed", told.detail);
        return;
      }
    } catch {
      // The network may be away for a moment.
    }
    this.hear(known);
  }

  private end(confirmation: string | null, why = "", detail = ""): void {
    if (this.over) return;
    this.stop();
    if (why) this.say(fill(this.words, why, { why: detail }));
    this.given(confirmation);
  }
}
