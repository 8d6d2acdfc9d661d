import { toVdcError, VdcError } from "@vdc-os/core";
import type { MemberState } from "@vdc-os/core/network/v1";
import type { ProcessStatus } from "../process/process-protocol.ts";

/** What is known of a host's part. */
export interface MemberView {
  /** What the latest attempt met: nothing, a host that can't be reached, a process that won't run, a configuration that was refused. */
  readonly trouble: "none" | "disconnected" | "down" | "refused" | "unknown";
  readonly detail: string;
  /** Whether the process has what it should, as of `revision` of the desired state. */
  readonly current: boolean;
  readonly revision: number;
  readonly status: ProcessStatus | undefined;
}

/** Nothing was tried yet. */
export const unknownMember: MemberView = {
  trouble: "unknown",
  detail: "not looked at yet",
  current: false,
  revision: 0,
  status: undefined,
};

/** The member's state in the contract's words. */
export function memberState(
  view: MemberView,
  realized: number,
  desired: { readonly generation: number; readonly revision: number },
): MemberState {
  if (view.trouble === "disconnected" || view.trouble === "down") return view.trouble;
  if (view.trouble === "refused") return "outOfSync";
  const isCurrent = view.trouble === "none" && view.current && view.revision >= desired.revision;
  return isCurrent && realized === desired.generation ? "up" : "pending";
}

const lostCodes: readonly string[] = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"];

/** Why an attempt failed, by what was being done. */
export function troubleOf(error: unknown, doing: "reach" | "run" | "apply"): Pick<MemberView, "trouble" | "detail"> {
  const { code, message } = toVdcError(error);
  if (doing === "apply" && !lostCodes.includes(code)) return { trouble: "refused", detail: message };
  if (doing === "run" && !lostCodes.includes(code)) return { trouble: "down", detail: message };
  return { trouble: "disconnected", detail: failureText(error) };
}

/** Why a host was not reached, for people. That a call had a deadline is the caller's own affair. */
export function failureText(error: unknown): string {
  const { code, message } = toVdcError(error);
  return code === "DEADLINE_EXCEEDED" ? "its switch process did not answer in time" : message;
}

/** A failure of a host as a caller of the switch sees it: the host's own codes would be read as the switch's. */
export function hostFailure(host: string, error: unknown): VdcError {
  const cause = toVdcError(error);
  if (cause.reason === "VDC_SUPERSEDED" || cause.reason === "VDC_HOST_UNAVAILABLE") return cause;
  return new VdcError("UNAVAILABLE", `host '${host}' did not do it: ${failureText(error)}`, {
    reason: "VDC_HOST_UNAVAILABLE",
    details: { host },
    cause,
  });
}
