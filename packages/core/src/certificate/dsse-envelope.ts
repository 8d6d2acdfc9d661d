import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { z } from "zod";
import { VdcError } from "../error/vdc-error.ts";

/** A signature of an {@link Envelope}. */
export interface EnvelopeSignature {
  /** Which key made it: a hint, and never trusted. */
  readonly keyid?: string | undefined;
  /** Base64. */
  readonly sig: string;
}

/** A DSSE envelope (Dead Simple Signing Envelope 1.0): any bytes, what they are, and who says so. */
export interface Envelope {
  /** Base64. */
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly EnvelopeSignature[];
}

/** What {@link openEnvelope} found in an envelope. */
export interface OpenedEnvelope {
  /** The bytes that were signed. */
  readonly payload: Buffer;
  /** The key that signed them: see {@link keyIdOf}. */
  readonly keyId: string;
}

const base64 = z.string().regex(/^[A-Za-z0-9+/_-]*={0,2}$/, "not base64");

const envelopeSchema: z.ZodType<Envelope> = z.object({
  payload: base64,
  payloadType: z.string(),
  signatures: z
    .array(z.object({ keyid: z.string().optional(), sig: base64 }))
    .min(1)
    .max(16),
});

/** What is signed: DSSE's pre-authentication encoding, which no payload of another type can be mistaken for. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** Names an ed25519 key, private or public: `sha256:` and the digest of the public key's SPKI, in hexadecimal. */
export function keyIdOf(key: KeyObject): string {
  const spki = (key.type === "private" ? createPublicKey(key) : key).export({ type: "spki", format: "der" });
  return `sha256:${createHash("sha256").update(spki).digest("hex")}`;
}

/** Options of {@link signEnvelope}. */
export interface SignEnvelopeOptions {
  readonly payloadType: string;
  /** An ed25519 private key. */
  readonly key: KeyObject;
}

/** Signs bytes, and puts them into an envelope. */
export function signEnvelope(payload: Uint8Array, { payloadType, key }: SignEnvelopeOptions): Envelope {
  assertEd25519(key);
  const sig = sign(null, preAuthEncoding(payloadType, payload), key).toString("base64");
  return {
    payload: Buffer.from(payload).toString("base64"),
    payloadType,
    signatures: [{ keyid: keyIdOf(key), sig }],
  };
}

/** Options of {@link openEnvelope}. */
export interface OpenEnvelopeOptions {
  readonly payloadType: string;
  /** Whom to believe: ed25519 public keys, as PEM. */
  readonly signers: readonly string[];
}

/**
 * The bytes in an envelope, if one of the signers signed them. Throws `INVALID_ARGUMENT`, `VDC_CERTIFICATE_INVALID`, for what is no
 * envelope of that type or a signer that is no key; `PERMISSION_DENIED`, `VDC_CERTIFICATE_SIGNER`, when none of the signers signed it.
 */
export function openEnvelope(value: unknown, { payloadType, signers }: OpenEnvelopeOptions): OpenedEnvelope {
  const parsed = envelopeSchema.safeParse(value);
  if (!parsed.success) throw invalid(`it is no DSSE envelope: ${z.prettifyError(parsed.error)}`);
  const envelope = parsed.data;
  if (envelope.payloadType !== payloadType) {
    throw invalid(`it holds '${envelope.payloadType}', and not '${payloadType}'`);
  }
  const payload = Buffer.from(envelope.payload, "base64");
  const signed = preAuthEncoding(payloadType, payload);
  const keys = signers.map(readSigner);
  for (const { sig } of envelope.signatures) {
    const signature = Buffer.from(sig, "base64");
    const key = keys.find((candidate) => verify(null, signed, candidate, signature));
    if (key !== undefined) return { payload, keyId: keyIdOf(key) };
  }
  const found = envelope.signatures.map(({ keyid }) => `'${keyid ?? "unnamed"}'`).join(", ");
  const trusted = keys.map((key) => `'${keyIdOf(key)}'`).join(", ") || "none";
  throw new VdcError(
    "PERMISSION_DENIED",
    `none of the signers that are trusted (${trusted}) signed it; it says ${found}`,
    {
      reason: "VDC_CERTIFICATE_SIGNER",
    },
  );
}

function readSigner(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw invalid("a signer is no public key in PEM", cause);
  }
  assertEd25519(key);
  return key;
}

function assertEd25519(key: KeyObject): void {
  if (key.asymmetricKeyType !== "ed25519") {
    throw invalid(`a key must be of type ed25519, and is '${key.asymmetricKeyType ?? key.type}'`);
  }
}

function invalid(text: string, cause?: unknown): VdcError {
  return new VdcError("INVALID_ARGUMENT", text, { reason: "VDC_CERTIFICATE_INVALID", cause });
}
