import { z } from "zod";
import {
  type RequirementResult,
  requirementStatuses,
  type SuiteReport,
  type Verdict,
  verdictOf,
} from "../suite/report.ts";

/** The format of a {@link CertificationReport}. */
export const reportFormat = "vdc-os:ready/report/v1";

/** What was certified. */
export interface CertificationSubject {
  readonly name: string;
  readonly version: string;
  /** `folder`: as it is being developed. `tarball`: as it is published. `installed`: as it came from a registry. */
  readonly kind: "folder" | "tarball" | "installed";
  /** The digest of the tarball. */
  readonly sha256?: string | undefined;
  /** The digest of the files, the same for a tarball and for the folder that it is installed into. */
  readonly dirHash?: string | undefined;
}

/** How the certification of a package went: the one model of every report, and of the certificate. Plain data. */
export interface CertificationReport {
  readonly format: typeof reportFormat;
  readonly subject: CertificationSubject;
  readonly kitVersion: string;
  readonly coreVersion: string;
  /** What it ran on, such as `node 24.1.0 on linux x64`. */
  readonly environment: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly durationMs: number;
  /** Whether every requirement was asked for, over both transports. A part certifies nothing. */
  readonly complete: boolean;
  readonly suites: readonly SuiteReport[];
  /** What stood in the way besides, such as a point without a factory. */
  readonly problems: readonly string[];
  readonly verdict: Verdict;
}

/** The verdict on several suites, and on what stood in their way. */
export function overallVerdict(suites: readonly SuiteReport[], problems: readonly string[]): Verdict {
  if (problems.length > 0) return "failure";
  return verdictOf(suites.flatMap(({ verdict }) => statusesAs[verdict]));
}

const statusesAs: Readonly<Record<Verdict, readonly Pick<RequirementResult, "status">[]>> = {
  success: [{ status: "pass" }],
  partial: [{ status: "skipped" }],
  failure: [{ status: "fail" }],
};

const verdict = z.enum(["success", "partial", "failure"]);
const status = z.enum(requirementStatuses as readonly ["fail"]);
const level = z.enum(["core", "extended"]);

/** Schema of {@link CertificationReport}: what `--json` writes. */
export const certificationReport: z.ZodType<unknown> = z.object({
  format: z.literal(reportFormat),
  subject: z.object({
    name: z.string(),
    version: z.string(),
    kind: z.enum(["folder", "tarball", "installed"]),
    sha256: z.string().optional(),
    dirHash: z.string().optional(),
  }),
  kitVersion: z.string(),
  coreVersion: z.string(),
  environment: z.string(),
  startedAt: z.iso.datetime(),
  durationMs: z.number(),
  complete: z.boolean(),
  suites: z.array(
    z.object({
      point: z.string(),
      contractVersion: z.string(),
      description: z.unknown().optional(),
      results: z.array(
        z.object({
          id: z.string(),
          title: z.string(),
          clause: z.string(),
          transport: z.enum(["direct", "pipe"]),
          level,
          facet: z.string().optional(),
          status,
          durationMs: z.number(),
          message: z.string().optional(),
        }),
      ),
      profiles: z.array(
        z.object({
          facet: z.string().optional(),
          level,
          result: z.enum([...verdict.options, "not-applicable"]),
          counts: z.record(z.string(), z.number()),
        }),
      ),
      waivers: z.array(
        z.object({
          requirement: z.string(),
          reason: z.string(),
          expires: z.string(),
          outcome: z.enum(["used", "expired", "unneeded"]),
        }),
      ),
      verdict,
    }),
  ),
  problems: z.array(z.string()),
  verdict,
});
