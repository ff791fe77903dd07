// Every module that an element asks for with data-module="name". To add one: write web/src/<name>.ts that
// exports `mount(element)`, and name it here. Each is fetched only by pages that use it.
type Module = { mount(element: HTMLElement): void };

const modules: Record<string, () => Promise<Module>> = {
  "camera-map": () => import("./video/map"),
  copy: () => import("./copy"),
  dialog: () => import("./dialog"),
  digest: () => import("./digest"),
  export: () => import("./video/export"),
  "mask-editor": () => import("./mask-editor"),
  "offer-passkey": () => import("./offer-passkey"),
  playback: () => import("./video/playback"),
  "sign-act": () => import("./sign-act"),
  table: () => import("./table"),
  tabs: () => import("./tabs"),
  wall: () => import("./video/wall"),
  "work-station": () => import("./video/station"),
};

/**
 * Mounts each asked-for module once on each element of `root`, itself included. Until then what only a script answers
 * (`data-scripted`, see `ui.button`) waits, disabled.
 */
export function mountAll(root: Element): void {
  const asking = [...root.querySelectorAll<HTMLElement>("[data-module]")];
  if (root instanceof HTMLElement && root.dataset.module) asking.unshift(root);
  for (const element of asking) {
    for (const name of (element.dataset.module ?? "").split(/\s+/).filter(Boolean)) {
      const load = modules[name];
      if (!load) {
        console.error(`no module named ${name}`);
        continue;
      }
      const mark = `data-module-${name}`;
      if (element.hasAttribute(mark)) continue;
      element.setAttribute(mark, "loading");
      void load().then((module) => {
        module.mount(element);
        // Sent before as plain forms, what was filled in would have stood in the address and been lost.
        for (const button of element.querySelectorAll<HTMLButtonElement>("[data-scripted]")) button.disabled = false;
        element.setAttribute(mark, "mounted");
      });
    }
  }
}
