// The forms of exports (what is to leave as a file) and of asks (what is to be fetched from the owner of a camera). A
// second person, where one is needed, is asked for each camera.
import { civil, instants } from "./civil";
import { CARRIED, Fields, SecondPerson, type Giving } from "./giving";
import { stay } from "./station";
import { fill, type Words } from "./words";

const MINUTE = 60e6;

class Form {
  private readonly words: Words;
  private readonly fields: Fields;
  private readonly there = stay(); // at a work station, if this browser is one
  private busy = false;

  constructor(private readonly form: HTMLFormElement) {
    this.words = JSON.parse(form.dataset.words ?? "{}") as Words;
    this.carry();
    this.fields = new Fields(form, this.words);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.there.then(() => this.submit());
    });
    for (const name of ["date", "from"]) this.input(name).addEventListener("change", () => this.twice());
    this.input("date").max = civil(Date.now() * 1000).date;
    this.twice();
  }

  /** Purpose, case and reason as they were given on the page of recordings, once. */
  private carry(): void {
    const text = window.sessionStorage.getItem(CARRIED);
    window.sessionStorage.removeItem(CARRIED);
    if (!text) return;
    const given = JSON.parse(text) as Record<string, string>;
    const purpose = this.form.querySelector<HTMLSelectElement>("[name=purpose]")!;
    if ([...purpose.options].some((option) => option.value === given.purpose)) purpose.value = given.purpose ?? "";
    for (const name of ["case", "reason"]) this.input(name).value = given[name] ?? "";
  }

  private get asks(): boolean {
    return this.form.dataset.to === "asks";
  }

  private twice(): void {
    this.form.querySelector<HTMLElement>("[data-twice]")!.hidden = this.starts().length < 2;
  }

  private starts(): number[] {
    return instants(this.input("date").value, this.input("from").value);
  }

  /** The interval, in Unix microseconds; or what is wrong with it. An end before the beginning is of the next day. */
  private interval(): [number, number] | string {
    const starts = this.starts();
    const which = this.form.querySelector<HTMLSelectElement>("[name=which]")!;
    const start = starts.length > 1 ? starts[Number(which.value)] : starts[0];
    if (start === undefined) return fill(this.words, "no_such_time");
    const next = civil(start + 26 * 60 * MINUTE).date;
    const ends = [this.input("date").value, next].flatMap((date) => instants(date, this.input("to").value));
    const end = ends.find((each) => each > start);
    if (end === undefined || end > Date.now() * 1000) return fill(this.words, "turned");
    return [start, end];
  }

  private async submit(): Promise<void> {
    if (this.busy) return;
    const cameras = [...this.form.querySelectorAll<HTMLInputElement>("[name=camera]:checked")];
    const found = this.interval();
    const most = Number(this.form.dataset.most);
    const minutes = Math.floor(Number(this.form.dataset.minutes) / Math.max(1, cameras.length));
    const error =
      !cameras.length ? fill(this.words, "choose_camera")
      : cameras.length > most ? fill(this.words, "too_many", { most })
      : typeof found === "string" ? found
      : found[1] - found[0] > minutes * MINUTE ? fill(this.words, "too_long", { minutes })
      : "";
    const giving = this.fields.read();
    if (error) this.fields.say(error);
    if (error || !giving || typeof found === "string") return;
    this.busy = true;
    try {
      const asked = {
        ...giving.given, since: new Date(found[0] / 1000).toISOString(), until: new Date(found[1] / 1000).toISOString(),
      };
      const confirmations: Record<string, string> = {};
      for (const camera of giving.second ? cameras : []) {
        const word = await this.second(camera, asked, giving);
        if (!word) return;
        confirmations[camera.value] = word;
      }
      const ids = cameras.map((input) => input.value);
      await this.send(
        this.asks
          ? { ...asked, camera: ids[0], confirmation: confirmations[ids[0] ?? ""] ?? null }
          : { ...asked, cameras: ids, form: giving.unmask ? "evidence" : "clip", confirmations },
      );
    } finally {
      this.busy = false;
    }
  }

  /** The word of a second person for this camera, waited for. */
  private second(camera: HTMLInputElement, asked: object, giving: Giving): Promise<string | null> {
    const name = camera.dataset.name ?? "";
    return new Promise((resolve) => {
      new SecondPerson(
        this.asks
          ? { ...asked, camera: camera.value, action: "view_recording" }
          : { ...asked, camera: camera.value, action: "export", original: giving.unmask },
        this.words,
        (text) => this.say(`${name}: ${text}`),
        resolve,
      );
    });
  }

  private async send(body: object): Promise<void> {
    this.say(fill(this.words, "asking"));
    const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
    const to = this.asks ? "asks" : "exports";
    const answer = await fetch(`/api/video/${to}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": token },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      window.location.assign(`/video/${to}`);
      return;
    }
    const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
    this.say("");
    this.fields.say(fill(this.words, "refused", { why: problem.detail ?? "" }));
  }

  private say(text: string): void {
    this.form.querySelector("[data-told]")!.textContent = text;
  }

  private input(name: string): HTMLInputElement {
    return this.form.querySelector<HTMLInputElement>(`input[name=${name}]`)!;
  }
}

export function mount(element: HTMLElement): void {
  new Form(element as HTMLFormElement);
}
