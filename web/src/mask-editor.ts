// Draws the outlines of the list of points, as it is typed; a click on the picture adds a point to the list's last line.
const WIDTH = 160;
const HEIGHT = 90;

/** The list and the picture say the same from now on. The list alone does all: nothing here is needed. */
export function mount(element: HTMLElement): void {
  const list = document.getElementById(element.dataset.points ?? "") as HTMLTextAreaElement | null;
  const picture = element.querySelector("svg");
  const outlines = element.querySelector<SVGGElement>("[data-outlines]");
  if (!list || !picture || !outlines) return;
  element.querySelector<HTMLElement>("[data-help]")!.hidden = false;

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
          drawn.map(([x = 0, y = 0] = []) => `${(x * WIDTH) / 100},${(y * HEIGHT) / 100}`).join(" "),
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
}
