// A link or button that opens the <dialog> named by data-opens, when scripts run; the link's own address is
// the same question as a page of its own. Closing returns the focus (the browser does).
export function mount(opener: HTMLElement): void {
  const dialog = document.getElementById(opener.dataset.opens ?? "");
  if (!(dialog instanceof HTMLDialogElement)) return;
  opener.hidden = false;
  opener.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.showModal();
  });
  for (const closer of dialog.querySelectorAll<HTMLElement>("[data-closes]")) {
    closer.addEventListener("click", () => dialog.close());
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
}
