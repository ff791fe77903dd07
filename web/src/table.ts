// On a narrow screen each row of a table is shown as a card; its cells then say what column they are of.

/** Gives each cell its column's name, and the roles that a table loses when it is laid out otherwise. */
export function mount(root: HTMLElement): void {
  const table = root.querySelector("table");
  if (!table) return;
  const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent?.trim() ?? "");
  table.setAttribute("role", "table");
  for (const part of table.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
  for (const row of table.querySelectorAll("tr")) {
    row.setAttribute("role", "row");
    [...row.children].forEach((cell, place) => {
      const heads = cell.tagName === "TH" ? (row.closest("thead") ? "columnheader" : "rowheader") : "cell";
      cell.setAttribute("role", heads);
      if (cell instanceof HTMLElement && !row.closest("thead")) cell.dataset.label = names[place] ?? "";
    });
  }
  root.classList.add("cards-when-narrow");
}
