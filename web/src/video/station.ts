// A work station: a key pair that this browser makes and cannot give away (extractable: false), kept in IndexedDB;
// registered by the party's manager, and shown to be at hand by signing a challenge.
import { toBase64Url } from "../bytes";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const AGAIN = 8 * 60_000; // a proof counts for ten minutes
const SIGNING = { name: "ECDSA", hash: "SHA-256" };

interface Kept {
  station: string;
  keys: CryptoKeyPair;
}

/** The page of work stations: registers this browser, or proves that it is one. */
export function mount(root: HTMLElement): void {
  if (!("indexedDB" in window) || !window.crypto?.subtle) return;
  const said = root.querySelector<HTMLElement>("[data-said]");
  const say = (text: string | undefined) => {
    if (!said) return;
    said.textContent = text ?? "";
    said.hidden = !text;
  };
  const failed = (error: unknown) =>
    say((root.dataset.failed ?? "").replace("%(why)s", error instanceof Error ? error.message : String(error)));
  const form = root.querySelector<HTMLFormElement>("form[data-register]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const centre = (form.elements.namedItem("centre") as HTMLSelectElement).value;
    const name = (form.elements.namedItem("station") as HTMLInputElement).value;
    void register(centre, name).then(() => location.reload(), failed);
  });
  void find().then((kept) => {
    const row = kept && root.querySelector<HTMLElement>(`[data-station="${CSS.escape(kept.station)}"]`);
    if (!kept || !row) return;
    row.classList.add("chosen");
    const here = (root.dataset.here ?? "").replace("%(name)s", row.dataset.name ?? "");
    say(here);
    return prove(kept).then(() => say(`${here} ${root.dataset.present ?? ""}`), failed);
  });
}

let staying: Promise<void> | null = null;

/** Where this browser is a registered work station: shown at once, and again before it is forgotten, for as long as
 *  the page is open. A browser that is none, or that cannot prove it, is simply at none. */
export function stay(): Promise<void> {
  staying ??= (async () => {
    if (!("indexedDB" in window) || !window.crypto?.subtle) return;
    try {
      if ((await prove()) !== null) window.setInterval(() => void again(), AGAIN);
    } catch (error) {
      console.warn("work station", error);
    }
  })();
  return staying;
}

async function again(): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await prove();
      return;
    } catch (error) {
      console.warn("work station", error);
      await new Promise((resolve) => window.setTimeout(resolve, 15_000));
    }
  }
}

/** Proves at which work station this browser is, if it is one; until when that counts, or null. */
export async function prove(kept?: Kept | null): Promise<string | null> {
  const mine = kept ?? (await find());
  if (!mine) return null;
  const asked = await ask("/api/video/stations/challenge", { station: mine.station });
  const signature = await sign(mine.keys, asked.platform, "presence", mine.station, asked.challenge);
  const answer = await ask("/api/video/stations/presence", {
    station: mine.station,
    challenge: asked.challenge,
    signature,
  });
  return answer.until ?? null;
}

async function register(centre: string, name: string): Promise<void> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
  const point = toBase64Url(new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey)));
  const asked = await ask("/api/video/stations/challenge", {});
  const signature = await sign(keys, asked.platform, "register", point, asked.challenge);
  const made = await ask("/api/video/stations", {
    centre,
    name,
    public_key: point,
    challenge: asked.challenge,
    signature,
  });
  await keep({ station: made.station ?? "", keys });
}

// The same lines as `statement` in koinon/video/cameras/stations.py.
async function sign(
  keys: CryptoKeyPair,
  platform: string | undefined,
  purpose: string,
  subject: string,
  challenge: string | undefined,
): Promise<string> {
  const text = `koinon work station\n${platform}\n${purpose}\n${subject}\n${challenge}`;
  return toBase64Url(
    new Uint8Array(await crypto.subtle.sign(SIGNING, keys.privateKey, new TextEncoder().encode(text))),
  );
}

async function ask(path: string, body: object): Promise<Record<string, string>> {
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": token },
    body: JSON.stringify(body),
  });
  const told = (await answer.json()) as Record<string, string>;
  if (!answer.ok) throw new Error(told.detail ?? told.code ?? String(answer.status));
  return told;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("koinon-work-station", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("keys");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });
}

async function keep(kept: Kept): Promise<void> {
  const database = await open();
  await new Promise<void>((resolve, reject) => {
    const change = database.transaction("keys", "readwrite");
    change.objectStore("keys").put(kept, "mine");
    change.oncomplete = () => resolve();
    change.onerror = () => reject(change.error ?? new Error("IndexedDB"));
  });
}

async function find(): Promise<Kept | null> {
  const database = await open();
  return new Promise((resolve, reject) => {
    const request = database.transaction("keys").objectStore("keys").get("mine");
    request.onsuccess = () => resolve((request.result as Kept | undefined) ?? null);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });
}
