import type { KeyObject } from "node:crypto";
import { VdcError } from "@vdc-os/core";
import {
  type CertificateStatement,
  certificateType,
  type Envelope,
  packageUrl,
  signEnvelope,
  statementPayloadType,
  statementType,
} from "@vdc-os/core/certificate";
import type { CertificationReport } from "../certify/certification-report.ts";

/** Options of {@link issueCertificate}. */
export interface IssueCertificateOptions {
  /** An ed25519 private key: see `readSigningKey`. */
  readonly key: KeyObject;
  /** Defaults to now. */
  readonly issuedAt?: Date;
}

/**
 * Signs what a report says of a tarball: an in-toto statement in a DSSE envelope. Throws `FAILED_PRECONDITION` for a report that certifies
 * nothing: of a folder, of a part of the requirements, or of a failure.
 */
export function issueCertificate(
  report: CertificationReport,
  { key, issuedAt = new Date() }: IssueCertificateOptions,
): Envelope {
  const statement = statementOf(report, issuedAt);
  return signEnvelope(Buffer.from(JSON.stringify(statement)), { payloadType: statementPayloadType, key });
}

function statementOf(report: CertificationReport, issuedAt: Date): CertificateStatement {
  const { subject, kitVersion, coreVersion, environment, verdict } = report;
  const { name, version, sha256, dirHash } = subject;
  if (sha256 === undefined || dirHash === undefined) {
    throw new VdcError("FAILED_PRECONDITION", "a certificate is for a tarball: pack the package, and certify that");
  }
  if (!report.complete) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      "a part of the requirements certifies nothing: run all, over both transports",
    );
  }
  if (verdict === "failure") throw new VdcError("FAILED_PRECONDITION", "a failure is not certified");
  return {
    _type: statementType,
    subject: [{ name: packageUrl(name, version), digest: { sha256, dirHash } }],
    predicateType: certificateType,
    predicate: {
      plugin: { name, version },
      kitVersion,
      coreVersion,
      environment,
      issuedAt: issuedAt.toISOString(),
      verdict,
      suites: report.suites.map((suite) => ({
        point: suite.point,
        contractVersion: suite.contractVersion,
        verdict: suite.verdict,
        profiles: suite.profiles.flatMap(({ facet, level, result }) =>
          result === "not-applicable" ? [] : [{ ...(facet === undefined ? {} : { facet }), level, result }],
        ),
        results: suite.results.map(({ id, transport, status }) => ({ id, transport, status })),
      })),
      waivers: report.suites.flatMap(({ waivers }) =>
        waivers
          .filter(({ outcome }) => outcome === "used")
          .map(({ requirement, reason, expires }) => ({ requirement, reason, expires })),
      ),
    },
  };
}
