// Opens an Ed25519 key file in the browser: PKCS #8 (RFC 8410), plain or encrypted as koinon writes it, with PBES2:
// PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018). The key stays in this page and cannot be taken out of it again.
import { fromBase64, sha256, toBase64Url } from "./bytes";

type Bytes = Uint8Array<ArrayBuffer>;
export type OpenedKey = { secret: CryptoKey; kid: string };

/** The file is no key file, or the passphrase does not open it. */
export class KeyFileError extends Error {
  constructor(readonly passphrase: boolean) {
    super(passphrase ? "passphrase" : "file");
  }
}

// What RFC 8018 names by object identifier, as DER writes it.
const PBES2 = "06092a864886f70d01050d";
const PBKDF2 = "06092a864886f70d01050c";
const HMAC_SHA256 = "06082a864886f70d0209";
const AES256_CBC = "060960864801650304012a";
const MAX_ROUNDS = 10_000_000;

/** The key in the text of a PEM file, with its RFC 7638 thumbprint. */
export async function openKeyFile(pem: string, passphrase: string): Promise<OpenedKey> {
  const found = /-----BEGIN (ENCRYPTED )?PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem);
  if (!found?.[2]) throw new KeyFileError(false);
  const file = fromBase64(found[2].replace(/\s/g, ""));
  const plain = found[1] ? await decrypt(file, passphrase) : file;
  try {
    // Extractable once, to learn the public half; what is kept is not.
    const open = await crypto.subtle.importKey("pkcs8", plain, "Ed25519", true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", open);
    const jwk = `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`;
    const kid = toBase64Url(await sha256(new TextEncoder().encode(jwk)));
    return { secret: await crypto.subtle.importKey("pkcs8", plain, "Ed25519", false, ["sign"]), kid };
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") throw error;
    throw new KeyFileError(false);
  } finally {
    plain.fill(0);
  }
}

async function decrypt(file: Bytes, passphrase: string): Promise<Bytes> {
  const [whole] = read(file);
  const [algorithm, sealed] = read(whole!.content);
  const [scheme, parameters] = read(algorithm!.content);
  const [derivation, cipher] = read(parameters!.content);
  const [kdf, kdfParameters] = read(derivation!.content);
  const [salt, rounds, ...rest] = read(kdfParameters!.content);
  const [cipherName, iv] = read(cipher!.content);
  const prf = rest.find((part) => part.tag === 0x30);
  const known =
    scheme!.hex === PBES2 && kdf!.hex === PBKDF2 && cipherName!.hex === AES256_CBC &&
    prf !== undefined && read(prf.content)[0]?.hex === HMAC_SHA256;
  const iterations = rounds!.content.reduce((sum, byte) => sum * 256 + byte, 0);
  if (!known || iterations > MAX_ROUNDS) throw new KeyFileError(false);
  const words = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, [
    "deriveKey",
  ]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt: salt!.content, iterations },
    words,
    { name: "AES-CBC", length: 256 },
    false,
    ["decrypt"],
  );
  try {
    const opened = await crypto.subtle.decrypt({ name: "AES-CBC", iv: iv!.content }, key, sealed!.content);
    return new Uint8Array(opened);
  } catch {
    throw new KeyFileError(true);
  }
}

type Part = { tag: number; content: Bytes; hex: string };

/** The DER values that lie one after another in `bytes` (X.690). */
function read(bytes: Bytes): Part[] {
  const parts: Part[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at;
    const tag = bytes[at++]!;
    let length = bytes[at++] ?? 0;
    if (length > 0x80) {
      let size = length - 0x80;
      length = 0;
      while (size-- > 0) length = length * 256 + (bytes[at++] ?? 0);
    }
    if (at + length > bytes.length) throw new KeyFileError(false);
    const content = bytes.slice(at, at + length);
    at += length;
    const hex = Array.from(bytes.slice(start, at), (byte) => byte.toString(16).padStart(2, "0")).join("");
    parts.push({ tag, content, hex });
  }
  if (parts.length === 0) throw new KeyFileError(false);
  return parts;
}
