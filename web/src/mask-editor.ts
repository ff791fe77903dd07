// Draws the outlines of the list of points, as it is typed; a click on the picture adds a point to the list's last line.
// Below them lies a still of the camera, where one is given; where none is, the grid stays, with a sentence why.
const WIDTH = 160;
const HEIGHT = 90; // of the grid; a still has its own

type Still = { image: string; taken_at: string; watermark: string | null; code?: string; detail?: string };

/** The list and the picture say the same from now on. The list alone does all: nothing here is needed. */
export function mount(element: HTMLElement): void {
  const list = document.getElementById(element.dataset.points ?? "") as HTMLTextAreaElement | null;
  const picture = element.querySelector("svg");
  const outlines = element.querySelector<SVGGElement>("[data-outlines]");
  if (!list || !picture || !outlines) return;
  element.querySelector<HTMLElement>("[data-help]")!.hidden = false;
  let height = HEIGHT;

  const draw = (): void => {
    outlines.replaceChildren(
      ...list.value.split("\n").flatMap((line) => {
        const points = line.trim().split(/\s+/).map((word) => word.split(",").map(Number));
        const whole = points.filter((point) => point.length === 2 && point.every(Number.isFinite));
        if (!whole.length) return [];
        const kind = whole.length > 2 ? "polygon" : "polyline";
        const shape = document.createElementNS("http://www.w3.org/2000/svg", kind);
        shape.setAttribute("class", "mask-outline");
        // A single point is drawn too: a line of no length, with round ends.
        const drawn = whole.length === 1 ? [whole[0], whole[0]] : whole;
        shape.setAttribute(
          "points",
          drawn.map(([x = 0, y = 0] = []) => `${(x * WIDTH) / 100},${(y * height) / 100}`).join(" "),
        );
        return [shape];
      }),
    );
  };
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const share = (at: number, from: number, length: number): string =>
      String(Math.round(Math.min(1, Math.max(0, (at - from) / length)) * 1000) / 10);
    const point = `${share(event.clientX, box.left, box.width)},${share(event.clientY, box.top, box.height)}`;
    list.value += (list.value === "" || /\s$/.test(list.value) ? "" : " ") + point;
    draw();
  });
  list.addEventListener("input", draw);
  draw();
  lay(element, picture, (share) => {
    height = WIDTH * share;
    picture.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    draw();
  });
}

/** Asks for a still and lays it under the outlines; `resize` is told its height as a share of its width. */
function lay(element: HTMLElement, picture: SVGSVGElement, resize: (share: number) => void): void {
  const told = element.querySelector<HTMLElement>("[data-told]");
  const again = element.querySelector<HTMLButtonElement>("[data-again]");
  const mark = element.querySelector<HTMLElement>("[data-mark]");
  const ground = picture.querySelector("image");
  const words = element.dataset;
  if (!words.still || !told || !again || !mark || !ground) return;

  const ask = async (): Promise<void> => {
    again.disabled = true;
    again.hidden = false;
    told.textContent = words.asking ?? "";
    try {
      const still = await fetchStill(words.still!);
      const image = new Image();
      image.src = still.image;
      await image.decode();
      ground.setAttribute("href", still.image);
      picture.classList.add("has-picture");
      resize(image.naturalHeight / image.naturalWidth);
      mark.textContent = still.watermark ?? "";
      mark.hidden = !still.watermark;
      told.textContent = (words.taken ?? "").replace("%(time)s", moment(still.taken_at));
    } catch (error) {
      told.textContent = (words.none ?? "").replace("%(why)s", error instanceof Error ? error.message : String(error));
    }
    again.disabled = false;
  };
  again.addEventListener("click", () => void ask());
  void ask();
}

/** Throws an `Error` whose message says, in the reader's language, why there is none. */
async function fetchStill(address: string): Promise<Still> {
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
  const answer = await fetch(`${address}?lang=${document.documentElement.lang}`, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRF-Token": token },
  });
  const still = (await answer.json()) as Still;
  if (!answer.ok) throw new Error(still.detail ?? still.code ?? "");
  return still;
}

function moment(instant: string): string {
  return new Date(instant).toLocaleString(document.documentElement.lang, {
    dateStyle: "long", timeStyle: "medium", timeZone: "Europe/Brussels",
  });
}
