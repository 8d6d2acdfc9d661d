import { VdcError } from "@vdc-os/core";
import type { SpecProblem } from "@vdc-os/core/network/v1";

/** The failure of a spec that has problems: it names all of them. */
export function refusedSpec(what: string, problems: readonly SpecProblem[]): VdcError {
  return new VdcError(
    "INVALID_ARGUMENT",
    `${what} is refused: ${problems.map(({ path, message }) => `${path}: ${message}`).join("; ")}`,
    { reason: "VDC_SPEC_REFUSED", details: { problems: problems.map(({ path, message }) => ({ path, message })) } },
  );
}
