import { z } from "zod";
import { schemaOf } from "../schema/schema-of.ts";

/** What an envelope says that it holds: an in-toto statement. */
export const statementPayloadType = "application/vnd.in-toto+json";

/** The type of in-toto's statements, version 1. */
export const statementType = "https://in-toto.io/Statement/v1";

/** The type of the predicate of a VDC Ready certificate. */
export const certificateType = "vdc-os:ready/certificate/v1";

/** `success`: all that must be tried was, and passed. `partial`: nothing failed, and something that must be tried was not. */
export type CertificateVerdict = "success" | "partial" | "failure";

/** How one profile of an extension point's suite went. */
export interface CertifiedProfile {
  /** The facet, or `undefined` for what every implementation must do. */
  readonly facet?: string | undefined;
  readonly level: "core" | "extended";
  readonly result: CertificateVerdict;
}

/** How one requirement went over one transport. */
export interface CertifiedRequirement {
  readonly id: string;
  readonly transport: string;
  readonly status: string;
}

/** How the suite of one extension point went. */
export interface CertifiedSuite {
  /** The extension point, and the version of its contract. */
  readonly point: string;
  readonly contractVersion: string;
  readonly verdict: CertificateVerdict;
  /** Those of the facets that the implementation has, and of what every implementation must do. */
  readonly profiles: readonly CertifiedProfile[];
  readonly results: readonly CertifiedRequirement[];
}

/** What a certificate says: the predicate of its statement. */
export interface Certificate {
  readonly plugin: { readonly name: string; readonly version: string };
  /** The version of `@vdc-os/ready` that tested, and of `@vdc-os/core` beneath it. */
  readonly kitVersion: string;
  readonly coreVersion: string;
  /** What it was tested on, such as `node 24.1.0 on linux x64`. */
  readonly environment: string;
  /** ISO 8601. */
  readonly issuedAt: string;
  readonly verdict: CertificateVerdict;
  readonly suites: readonly CertifiedSuite[];
  /** Requirements that were not met, and for which a waiver was given. */
  readonly waivers: readonly { readonly requirement: string; readonly reason: string; readonly expires: string }[];
}

/** What a certificate is about: a tarball. `dirHash` is the digest of its files, which the folder that it is installed into has too. */
export interface CertificateSubject {
  /** A package URL: `pkg:npm/%40acme/vdc-storage@1.0.0`. */
  readonly name: string;
  readonly digest: { readonly sha256: string; readonly dirHash: string };
}

/** A certificate: an in-toto statement, version 1. */
export interface CertificateStatement {
  readonly _type: typeof statementType;
  readonly subject: readonly [CertificateSubject];
  readonly predicateType: typeof certificateType;
  readonly predicate: Certificate;
}

const verdict = z.enum(["success", "partial", "failure"]);
const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** Schema of {@link CertificateStatement}. What a later version adds is ignored, as in-toto asks. */
export const certificateStatement: z.ZodType<CertificateStatement> = schemaOf<CertificateStatement>()(
  z.object({
    _type: z.literal(statementType),
    subject: z.tuple([z.object({ name: z.string(), digest: z.object({ sha256: digest, dirHash: digest }) })]),
    predicateType: z.literal(certificateType),
    predicate: z.object({
      plugin: z.object({ name: z.string(), version: z.string() }),
      kitVersion: z.string(),
      coreVersion: z.string(),
      environment: z.string(),
      issuedAt: z.string(),
      verdict,
      suites: z
        .array(
          z.object({
            point: z.string(),
            contractVersion: z.string(),
            verdict,
            profiles: z.array(
              z.object({ facet: z.string().optional(), level: z.enum(["core", "extended"]), result: verdict }),
            ),
            results: z.array(z.object({ id: z.string(), transport: z.string(), status: z.string() })),
          }),
        )
        .readonly(),
      waivers: z.array(z.object({ requirement: z.string(), reason: z.string(), expires: z.string() })),
    }),
  }),
);

/** The package URL of a version of an npm package. */
export function packageUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}
