import { VdcError } from "@vdc-os/core";
import { type EnsureProcess, hostRuntime } from "@vdc-os/core/host/v1";

/**
 * A copy of a spec that a process can be started with. A plugin in this process calls without the boundary that checks, and a NUL ends a string of
 * execve(2) early. Throws `INVALID_ARGUMENT`.
 */
export function checkSpec(input: EnsureProcess): EnsureProcess {
  const parsed = hostRuntime.operations.ensureProcess?.input.safeParse(input);
  if (parsed?.success !== true) {
    const [issue] = parsed?.error?.issues ?? [];
    throw new VdcError(
      "INVALID_ARGUMENT",
      `no process can be started from this: ${issue?.path.join(".")}: ${issue?.message}`,
    );
  }
  const spec = JSON.parse(JSON.stringify(input)) as EnsureProcess;
  const { program, owner, processId } = spec;
  const given = program.kind === "command" ? [program.command, ...program.args] : [program.module];
  if ([owner.datacenter, ...given].some((text) => text.includes("\0")) || given[0] === "") {
    throw new VdcError("INVALID_ARGUMENT", `process '${processId}' has an empty program, or a NUL in what it is given`);
  }
  return spec;
}
