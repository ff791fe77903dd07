// A button that copies the text of the element named by data-copy-of, and says so.
export function mount(button: HTMLElement): void {
  const source = document.getElementById(button.dataset.copyOf ?? "");
  if (!source || !navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.dataset.copyText ?? source.textContent?.trim() ?? "");
    const label = button.querySelector<HTMLElement>("[data-label]");
    if (!label) return;
    const before = label.textContent;
    label.textContent = button.dataset.done ?? before;
    window.setTimeout(() => {
      label.textContent = before;
    }, 2000);
  });
}
