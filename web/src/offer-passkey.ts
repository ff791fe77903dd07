// Makes a passkey for a member and offers it; the chair appoints its holder by a signed act before it signs anything.
import { fromBase64Url, toBase64Url } from "./bytes";

/** Mounts the making of a passkey in `root`. */
export function mount(root: HTMLElement): void {
  const button = root.querySelector<HTMLButtonElement>("[data-offer]");
  if (!button || !("credentials" in navigator) || !window.PublicKeyCredential) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await offer(root);
    } finally {
      button.disabled = false;
    }
  });
}

async function offer(root: HTMLElement): Promise<void> {
  const said = root.dataset;
  const name = said.name ?? "";
  let made: PublicKeyCredential | null = null;
  try {
    made = (await navigator.credentials.create({
      publicKey: {
        challenge: fromBase64Url(said.challenge ?? ""),
        rp: { id: said.rpId ?? "", name: "Koinon" },
        user: { id: fromBase64Url(said.user ?? ""), name, displayName: name },
        // EdDSA and ES256 (COSE algorithms, RFC 9053).
        pubKeyCredParams: [
          { type: "public-key", alg: -8 },
          { type: "public-key", alg: -7 },
        ],
        authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
        attestation: "none",
      },
    })) as PublicKeyCredential | null;
  } catch {
    made = null;
  }
  if (!made) return complain(root, said.saidCancelled ?? "");
  const answer = made.response as AuthenticatorAttestationResponse;
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
  const sent = await fetch("/commission/members/passkeys", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/problem+json",
      "X-CSRF-Token": token,
    },
    body: JSON.stringify({
      rank: root.querySelector<HTMLSelectElement>("select")?.value ?? "member",
      credential: {
        id: made.id,
        rawId: toBase64Url(new Uint8Array(made.rawId)),
        type: made.type,
        response: {
          attestationObject: toBase64Url(new Uint8Array(answer.attestationObject)),
          clientDataJSON: toBase64Url(new Uint8Array(answer.clientDataJSON)),
        },
      },
    }),
  });
  if (sent.ok) return window.location.reload();
  const problem = (await sent.json().catch(() => ({}))) as { code?: string; detail?: string };
  complain(root, `${said.saidRefused} ${problem.detail ?? problem.code ?? sent.status}`);
}

function complain(root: HTMLElement, text: string): void {
  const place = root.querySelector<HTMLElement>("[data-error]");
  if (!place) return;
  place.textContent = text;
  place.hidden = text === "";
}
