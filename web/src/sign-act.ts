// Signs an act in the browser. What is shown is read out of the very bytes that are signed; a key file is read here
// and never sent; a passkey answers the SHA-256 of the bytes.
import { openKeyFile, KeyFileError } from "./key-file";
import { fromBase64Url, toBase64Url, fromBase64, toBase64, toHex, sha256 } from "./bytes";

type Words = Record<string, Record<string, string>>;
type Signer = { name: string; body: string; rank: string };
type Act = {
  act: string;
  at: string;
  sequence: number;
  signer: string;
  outcome: string | null;
  reason: Record<string, string>;
  target: { kind: string; id: string; digest: string | null };
  appointed: Signer | null;
};

/** Mounts the signing of the act in `root`. */
export function mount(root: HTMLElement): void {
  const said = root.dataset;
  const body = fromBase64(said.body ?? "");
  const act = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) as Act;
  show(root, act);
  const button = root.querySelector<HTMLButtonElement>("[data-sign]");
  if (!button) return;
  void documentIsNamed(root, act).then((holds) => {
    if (!holds) {
      complain(root, said.saidWrongDocument ?? "");
      return;
    }
    const passphrase = root.querySelector<HTMLElement>("[data-passphrase]");
    const file = root.querySelector<HTMLInputElement>('input[type="file"]');
    file?.addEventListener("change", async () => {
      const text = (await file.files?.[0]?.text()) ?? "";
      if (passphrase) passphrase.hidden = !text.includes("ENCRYPTED");
    });
    for (const hidden of root.querySelectorAll<HTMLElement>("[data-key-form], [data-sign]")) hidden.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      complain(root, "");
      try {
        const proof = said.kind === "webauthn" ? await assertWith(root, body) : await signWith(root, body, act);
        if (proof) await submit(root, body, proof);
      } finally {
        button.disabled = false;
      }
    });
  });
}

/** Fills the list of facts from the act's own bytes. */
function show(root: HTMLElement, act: Act): void {
  const said = root.dataset;
  const words = JSON.parse(said.words ?? "{}") as Words;
  const word = (group: string, code: string): string => words[group]?.[code] ?? code;
  const language = document.documentElement.lang;
  const facts: [string | undefined, string][] = [
    [said.labelAct, word("act", act.act)],
    [said.labelKind, word("kind", act.target.kind)],
    [said.labelId, act.target.id],
  ];
  if (act.outcome) facts.push([said.labelOutcome, word("outcome", act.outcome)]);
  if (act.appointed) {
    facts.push([said.labelName, act.appointed.name]);
    facts.push([said.labelBody, word("body", act.appointed.body)]);
    facts.push([said.labelRank, word("rank", act.appointed.rank)]);
  }
  for (const code of ["nl", "fr", "en"].sort((a) => (a === language ? -1 : 0))) {
    facts.push([`${said.labelReason} (${code})`, act.reason[code] ?? ""]);
  }
  if (act.target.digest) facts.push([said.labelDigest, act.target.digest]);
  facts.push([said.labelSequence, String(act.sequence)]);
  const locale = language === "en" ? "en-GB" : `${language}-BE`;
  const at = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "medium", timeZone: "Europe/Brussels" });
  facts.push([said.labelAt, `${at.format(new Date(act.at))} (${act.at})`]);
  const list = root.querySelector<HTMLElement>("[data-shown]");
  list?.replaceChildren(
    ...facts.map(([label, value]) => {
      const row = document.createElement("div");
      row.append(element("dt", label ?? ""), element("dd", value));
      return row;
    }),
  );
}

function element(name: string, text: string): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** Whether the document on the page has the digest that the act names; true where the act names none. */
async function documentIsNamed(root: HTMLElement, act: Act): Promise<boolean> {
  const shown = root.querySelector<HTMLElement>("[data-document]");
  if (!act.target.digest || !shown) return true;
  const digest = toHex(await sha256(new TextEncoder().encode(shown.textContent ?? "")));
  const holds = digest === act.target.digest;
  const note = root.querySelector<HTMLElement>("[data-checked]");
  if (note) note.hidden = !holds;
  const readable = root.querySelector<HTMLElement>("[data-readable]");
  if (holds && readable) readable.replaceChildren(describe(JSON.parse(shown.textContent ?? "null")));
  return holds;
}

/** A document as a person reads it: what is written in three languages, in theirs. */
function describe(value: unknown): Node {
  if (Array.isArray(value)) {
    if (value.length === 0) return element("span", "–");
    const list = document.createElement("ul");
    list.append(...value.map((each) => item("li", describe(each))));
    return list;
  }
  if (value === null || typeof value !== "object") return element("span", value === null ? "–" : String(value));
  const parts = value as Record<string, unknown>;
  const spoken = parts[document.documentElement.lang];
  if (typeof spoken === "string" && "nl" in parts && "fr" in parts && "en" in parts) {
    return element("span", spoken);
  }
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [name, each] of Object.entries(parts)) {
    const row = document.createElement("div");
    const term = element("dt", name);
    term.translate = false;
    row.append(term, item("dd", describe(each)));
    list.append(row);
  }
  return list;
}

function item(name: string, content: Node): HTMLElement {
  const made = document.createElement(name);
  made.append(content);
  return made;
}

async function signWith(root: HTMLElement, body: Uint8Array<ArrayBuffer>, act: Act): Promise<object | null> {
  const said = root.dataset;
  const file = root.querySelector<HTMLInputElement>('input[type="file"]')?.files?.[0];
  const passphrase = root.querySelector<HTMLInputElement>('input[type="password"]');
  if (!file) return complain(root, said.saidWrongFile ?? "");
  try {
    const key = await openKeyFile(await file.text(), passphrase?.value ?? "");
    if (key.kid !== act.signer) return complain(root, said.saidWrongKey ?? "");
    const signature = await crypto.subtle.sign("Ed25519", key.secret, body);
    return { kind: "ed25519", signature: toBase64Url(new Uint8Array(signature)) };
  } catch (error) {
    if (error instanceof KeyFileError) {
      return complain(root, (error.passphrase ? said.saidWrongPassphrase : said.saidWrongFile) ?? "");
    }
    return complain(root, said.saidUnsupported ?? "");
  } finally {
    if (passphrase) passphrase.value = "";
  }
}

/** A WebAuthn assertion whose challenge is the SHA-256 of the body (Web Authentication Level 2, section 7.2). */
async function assertWith(root: HTMLElement, body: Uint8Array<ArrayBuffer>): Promise<object | null> {
  const said = root.dataset;
  if (!("credentials" in navigator)) return complain(root, said.saidUnsupported ?? "");
  try {
    const made = (await navigator.credentials.get({
      publicKey: {
        challenge: await sha256(body),
        rpId: said.rpId ?? "",
        allowCredentials: [{ type: "public-key", id: fromBase64Url(said.kid ?? "") }],
        userVerification: "required",
      },
    })) as PublicKeyCredential | null;
    if (!made) return complain(root, said.saidCancelled ?? "");
    const answer = made.response as AuthenticatorAssertionResponse;
    return {
      kind: "webauthn",
      credential_id: toBase64Url(new Uint8Array(made.rawId)),
      authenticator_data: toBase64Url(new Uint8Array(answer.authenticatorData)),
      client_data_json: toBase64Url(new Uint8Array(answer.clientDataJSON)),
      signature: toBase64Url(new Uint8Array(answer.signature)),
    };
  } catch {
    return complain(root, said.saidCancelled ?? "");
  }
}

async function submit(root: HTMLElement, body: Uint8Array, proof: object): Promise<void> {
  const said = root.dataset;
  const answer = await fetch(said.submit ?? "/api/acts", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/problem+json" },
    body: JSON.stringify({ body: toBase64(body), proof }),
  });
  if (answer.ok) {
    window.location.assign(said.done ?? "/");
    return;
  }
  const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
  complain(root, `${said.saidRefused} ${problem.detail ?? problem.code ?? answer.status}`);
}

function complain(root: HTMLElement, text: string): null {
  const place = root.querySelector<HTMLElement>("[data-error]");
  if (place) {
    place.textContent = text;
    place.hidden = text === "";
  }
  return null;
}
