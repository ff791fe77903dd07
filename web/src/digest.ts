// The SHA-256 of a chosen file, worked out here and written into a field. The file goes nowhere: its input has no name.

export function mount(element: HTMLElement): void {
  const input = element.querySelector<HTMLInputElement>("input[type=file]");
  const field = document.getElementById(element.dataset.fills ?? "") as HTMLInputElement | null;
  const told = element.querySelector<HTMLElement>("[role=status]");
  if (!input || !field || !told || !crypto.subtle) return; // without HTTPS there is none: the field can be typed in
  element.hidden = false;
  input.addEventListener("change", () => void fill(input, field, told, element.dataset.done ?? ""));
}

async function fill(
  input: HTMLInputElement, field: HTMLInputElement, told: HTMLElement, done: string,
): Promise<void> {
  const file = input.files?.[0];
  if (!file) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  field.value = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  told.textContent = done;
}
