import { z } from "zod";
import { VdcError } from "../error/vdc-error.ts";
import { type CertificateStatement, certificateStatement, packageUrl, statementPayloadType } from "./certificate.ts";
import { openEnvelope } from "./dsse-envelope.ts";

/** A certificate that a trusted signer signed. */
export interface VerifiedCertificate {
  readonly statement: CertificateStatement;
  /** The signer's key: `sha256:` and the digest of its SPKI. */
  readonly keyId: string;
}

/** Options of {@link verifyCertificate}. */
export interface VerifyCertificateOptions {
  /** Whom to believe: ed25519 public keys, as PEM. */
  readonly signers: readonly string[];
}

/**
 * Reads a certificate, if one of the signers signed it. It says nothing yet of what is installed: see {@link assertCertified}. Throws as
 * `openEnvelope` does, and `INVALID_ARGUMENT`, `VDC_CERTIFICATE_INVALID`, for a statement that is no certificate.
 */
export function verifyCertificate(envelope: unknown, { signers }: VerifyCertificateOptions): VerifiedCertificate {
  const { payload, keyId } = openEnvelope(envelope, { payloadType: statementPayloadType, signers });
  let value: unknown;
  try {
    value = JSON.parse(payload.toString("utf8"));
  } catch (cause) {
    throw invalid("what was signed is no JSON", cause);
  }
  const parsed = certificateStatement.safeParse(value);
  if (!parsed.success) throw invalid(`what was signed is no certificate: ${z.prettifyError(parsed.error)}`);
  return { statement: parsed.data, keyId };
}

/** What {@link assertCertified} holds a certificate against. */
export interface CertifiedExpectation {
  readonly name: string;
  readonly version: string;
  /** The digest of the files that are there. */
  readonly dirHash?: string | undefined;
  /** The digest of a tarball. */
  readonly sha256?: string | undefined;
  /** The points that must have been certified, at these versions of their contracts. */
  readonly points: readonly { readonly id: string; readonly version: string }[];
}

/**
 * Throws `PERMISSION_DENIED` unless a certificate is about this very package and says `success`: `VDC_CERTIFICATE_DIGEST` for another
 * package, version or content, `VDC_CERTIFICATE_CONTRACT` for a contract of another version, `VDC_CERTIFICATE_RESULT` for another result.
 */
export function assertCertified(
  { subject: [subject], predicate }: CertificateStatement,
  is: CertifiedExpectation,
): void {
  const name = packageUrl(is.name, is.version);
  if (subject.name !== name) throw denied("DIGEST", `it is for '${subject.name}', and this is '${name}'`);
  for (const kind of ["sha256", "dirHash"] as const) {
    if (is[kind] !== undefined && is[kind] !== subject.digest[kind]) {
      throw denied(
        "DIGEST",
        `what is here is not what was tested: its ${kind} is ${is[kind]}, and the certificate says ${subject.digest[kind]}; install the package again`,
      );
    }
  }
  for (const { id, version } of is.points) {
    const suites = predicate.suites.filter(({ point }) => point === id);
    if (suites.length === 0) throw denied("CONTRACT", `it says nothing of '${id}', which the plugin provides`);
    const suite = suites.find(({ contractVersion }) => contractVersion === version);
    if (suite === undefined) {
      const tested = suites.map(({ contractVersion }) => contractVersion).join(", ");
      throw denied("CONTRACT", `it is for version ${tested} of '${id}', and this is ${version}: certify it again`);
    }
    if (suite.verdict !== "success") throw denied("RESULT", `its result for '${id}' is '${suite.verdict}'`);
  }
  if (predicate.verdict !== "success") throw denied("RESULT", `its result is '${predicate.verdict}'`);
}

type Denial = "DIGEST" | "CONTRACT" | "RESULT";

const reasons: Readonly<Record<Denial, string>> = {
  DIGEST: "VDC_CERTIFICATE_DIGEST",
  CONTRACT: "VDC_CERTIFICATE_CONTRACT",
  RESULT: "VDC_CERTIFICATE_RESULT",
};

function denied(denial: Denial, text: string): VdcError {
  return new VdcError("PERMISSION_DENIED", text, { reason: reasons[denial] });
}

function invalid(text: string, cause?: unknown): VdcError {
  return new VdcError("INVALID_ARGUMENT", text, { reason: "VDC_CERTIFICATE_INVALID", cause });
}
