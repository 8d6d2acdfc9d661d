import { VdcError } from "@vdc-os/core";
import { z } from "zod";
import type { RequirementResult } from "./report.ts";

/** A requirement that an implementation is known not to meet. It is tried all the same. */
export interface Waiver {
  /** The requirement's id. */
  readonly requirement: string;
  /** Why it is not met, and what becomes of it. */
  readonly reason: string;
  /** The last day on which the waiver holds, as `2027-01-31`, in UTC. From then on the requirement fails. */
  readonly expires: string;
}

/** What became of a waiver: `used`; `expired`, and needed; or `unneeded`, since the requirement is met or does not apply. */
export type WaiverOutcome = "used" | "expired" | "unneeded";

/** A waiver after a run. */
export interface WaiverReport extends Waiver {
  readonly outcome: WaiverOutcome;
}

/** Schema of the file `vdc-ready.json`. */
export const waiverFile: z.ZodType<{ readonly waivers: readonly Waiver[] }> = z.strictObject({
  waivers: z
    .array(
      z.strictObject({
        requirement: z.string().min(1),
        reason: z.string().trim().min(10, "say why, in ten characters at least"),
        expires: z.iso.date("say the last day on which it holds, such as 2027-01-31"),
      }),
    )
    .refine((waivers) => new Set(waivers.map(({ requirement }) => requirement)).size === waivers.length, {
      message: "a requirement is waived twice",
    }),
});

/** Reads the text of a `vdc-ready.json`. Throws `INVALID_ARGUMENT`, with the places that are wrong. */
export function parseWaivers(text: string, path = "vdc-ready.json"): readonly Waiver[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new VdcError("INVALID_ARGUMENT", `'${path}' is no JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = waiverFile.safeParse(value);
  if (parsed.success) return parsed.data.waivers;
  throw new VdcError("INVALID_ARGUMENT", `'${path}' is wrong:\n${z.prettifyError(parsed.error)}`);
}

/** Options of {@link applyWaiver}. */
export interface ApplyWaiverOptions {
  readonly waivers: readonly Waiver[];
  readonly now: Date;
}

/** The result as a waiver of its requirement has it: a failure is `waived` as long as the waiver holds. */
export function applyWaiver(result: RequirementResult, { waivers, now }: ApplyWaiverOptions): RequirementResult {
  const waiver = waivers.find(({ requirement }) => requirement === result.id);
  if (waiver === undefined || result.status !== "fail") return result;
  if (hasExpired(waiver, now)) {
    return { ...result, message: `${result.message}; its waiver (${waiver.reason}) held until ${waiver.expires}` };
  }
  return { ...result, status: "waived", message: `${waiver.reason} (until ${waiver.expires}): ${result.message}` };
}

/** What became of the waivers. */
export function reportWaivers(
  waivers: readonly Waiver[],
  results: readonly RequirementResult[],
): readonly WaiverReport[] {
  return waivers.map((waiver) => {
    const own = results.filter(({ id }) => id === waiver.requirement);
    const has = (status: RequirementResult["status"]): boolean => own.some((result) => result.status === status);
    return { ...waiver, outcome: has("waived") ? "used" : has("fail") ? "expired" : "unneeded" };
  });
}

function hasExpired({ expires }: Waiver, now: Date): boolean {
  return now.toISOString().slice(0, "2027-01-31".length) > expires;
}
