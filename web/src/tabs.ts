// In-page sections become tabs (WAI-ARIA Authoring Practices, tabs with automatic activation). Without a
// script they stay a list of links to sections that are all shown.
export function mount(root: HTMLElement): void {
  const list = root.querySelector<HTMLElement>("[data-tablist]");
  const tabs = [...root.querySelectorAll<HTMLAnchorElement>("[data-tablist] a")];
  if (!list || tabs.length === 0) return;
  const panelOf = (tab: HTMLAnchorElement) => document.getElementById(tab.hash.slice(1));
  list.setAttribute("role", "tablist");
  for (const item of list.children) item.setAttribute("role", "presentation");
  for (const tab of tabs) {
    const panel = panelOf(tab);
    if (!panel) continue;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    tab.id ||= `${panel.id}-tab`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.tabIndex = 0;
  }
  const show = (chosen: HTMLAnchorElement, focus: boolean) => {
    for (const tab of tabs) {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      const panel = panelOf(tab);
      if (panel) panel.hidden = !selected;
    }
    if (focus) chosen.focus();
  };
  list.addEventListener("click", (event) => {
    const tab = (event.target as Element).closest("a");
    if (!tab || !tabs.includes(tab)) return;
    event.preventDefault();
    history.replaceState(null, "", tab.hash);
    show(tab, true);
  });
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement as HTMLAnchorElement);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next =
      event.key === "Home" ? tabs[0] : event.key === "End" ? tabs.at(-1) : step ? tabs.at((at + step) % tabs.length) : undefined;
    if (!next) return;
    event.preventDefault();
    show(next, true);
  });
  const first = tabs.find((tab) => tab.hash === location.hash) ?? tabs[0];
  if (first) show(first, false);
}
