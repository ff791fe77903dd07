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

watchMenus();
mountAll(document.documentElement);
