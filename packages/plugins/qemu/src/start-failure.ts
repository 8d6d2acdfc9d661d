import { isVdcError, VdcError } from "@vdc-os/core";

/** Says why a VM could not be started, from what QEMU wrote. What may go away by itself is `UNAVAILABLE`. */
export function startFailure(vmId: string, cause: unknown, log: string): VdcError {
  if (isVdcError(cause)) return cause;
  const code = (cause as { readonly code?: unknown }).code;
  const options = { cause, details: { vmId, log } };
  const said = log || (cause instanceof Error ? cause.message : String(cause));
  if (/cannot allocate memory|cannot set up guest memory/i.test(log)) {
    return new VdcError(
      "RESOURCE_EXHAUSTED",
      `VM '${vmId}' was not started: the host has no memory for it: ${said}`,
      options,
    );
  }
  if (/failed to connect|connection refused|connection reset/i.test(log)) {
    const reason = "VDC_DISK_UNREACHABLE";
    return new VdcError("UNAVAILABLE", `VM '${vmId}' was not started: a disk can't be reached: ${said}`, {
      ...options,
      reason,
    });
  }
  if (code === "QMP_TIMEOUT" || code === "QMP_CONNECT_FAILED") {
    return new VdcError("UNAVAILABLE", `VM '${vmId}' was not started: QEMU did not answer in time: ${said}`, options);
  }
  return new VdcError("FAILED_PRECONDITION", `VM '${vmId}' was not started: QEMU said: ${said}`, {
    ...options,
    reason: "VDC_QEMU_REFUSED",
  });
}
