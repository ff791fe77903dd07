// The one script of every page. A page works without it wherever it can; what needs it says so in <noscript>.
import htmx from "htmx.org";
import { mountAll } from "./modules";
import { watchMenus } from "./shell";

// The Content-Security-Policy allows no evaluated code and no inline style: htmx must not try.
htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0; // pages hold personal data: no copy of them in the browser's storage
// A refusal comes as a fragment for the notices region (the server retargets it): swap it like an answer.
htmx.config.responseHandling = [
  { code: "204", swap: false },
  { code: "[23]..", swap: true },
  { code: "[45]..", swap: true, error: true },
];

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content;
  const detail = (event as CustomEvent<{ headers: Record<string, string> }>).detail;
  if (token) detail.headers["X-CSRF-Token"] = token;
});

document.addEventListener("htmx:load", (event) => {
  const element = (event as CustomEvent<{ elt: Element }>).detail.elt;
  mountAll(element);
});

// What is drawn anew between press and release would take the click with it: it waits for the release.
let pressed: Node | null = null;
const held: (() => void)[] = [];
document.addEventListener("pointerdown", (event) => (pressed = event.target as Node), true);
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(
    name,
    () => {
      pressed = null;
      const swaps = held.splice(0);
      window.setTimeout(() => swaps.forEach((swap) => swap())); // after the click, which comes with the release
    },
    true,
  );
}
document.addEventListener("htmx:beforeSwap", (event) => {
  type Swap = { target: Element; serverResponse: string; shouldSwap: boolean };
  const detail = (event as CustomEvent<Swap>).detail;
  if (!pressed || !detail.shouldSwap || !detail.target.contains(pressed)) return;
  detail.shouldSwap = false;
  const swapStyle = detail.target.getAttribute("hx-swap") === "outerHTML" ? "outerHTML" : "innerHTML";
  held.push(() => htmx.swap(detail.target, detail.serverResponse, { swapStyle, swapDelay: 0, settleDelay: 20 }));
});

watchMenus();
mountAll(document.documentElement);
